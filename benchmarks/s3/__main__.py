"""Measures some of the servers only: python -m benchmarks.s3 process rclone nginx."""

import sys

from benchmarks.report import print_table
from benchmarks.s3 import TITLE, measure

print_table(TITLE, measure(sys.argv[1:]))
