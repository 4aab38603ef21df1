"""The command line: reads what is asked, calls the room that does it, says how it went.

program    the commands in their order, and how the program runs one
commands/  what can be said to each command: light, so that --help is fast
work/      what each does then, with all that it needs; imported when the command runs
options    options made from settings, and how a command starts
values     values of options that several commands take
errors     one line where something is wrong
running    a command's work, and what ends it early
output     results on standard output, everything else on stderr

Exit status: 0 done, 1 failed (one line says what and what to do), 2 usage.
"""
