"""Values as a notebook shows them: facts in a line, and small tables in HTML without scripts and colours."""
