"""gmp-ab: a program natively and under the shim, measured in turns.

model     what is measured: runs, points of a sweep, comparisons, a report
process   starting one command through launch.c, watching it, ending it
measure   one run of a program, or of a server under a load
parse     what load tools print: throughput and latency
rounds    warm-up, order of the runs, whether both sides did the same
stats     medians, spread, ratios with confidence intervals
suite     many comparisons from a file
table     the report on a terminal
files     the report as JSON and CSV, and JSON read again
page      the report as one HTML page
peers     the report as one table: a row a figure, native, shim and peer
markdown  the same as Markdown, with charts
charts    those, as SVG
baseline  a report against an older one
cli       options
"""
