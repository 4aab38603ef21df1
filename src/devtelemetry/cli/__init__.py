"""The command line: reads a command, calls the room that does it, prints the result.

program    the commands in their order, and how the program runs one
commands/  the arguments and options of each command; imports little, so that --help is fast
work/      what each command does; imported only when the command runs
options    options made from settings, and how a command starts
values     values of options that several commands take
errors     errors as one line
running    runs a command's work, and ends it early
output     results on standard output, everything else on stderr

Exit status: 0 done, 1 failed (one line says what failed and what to do), 2 usage.
"""
