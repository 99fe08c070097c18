"""Speed and memory, as ratios within one run; run one with `python -m bench.NAME`."""
