"""The files of the pages: each is served as it is."""
