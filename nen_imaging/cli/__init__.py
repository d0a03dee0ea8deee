"""The command line: one short file per verb, each with HELP, add_arguments and run."""
