"""Hardware and models that a profile may be derived for: data sheets of GPUs, shapes of models."""
