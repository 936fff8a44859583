"""`jit`: a traced step becomes one native program."""
