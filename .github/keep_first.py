"""Keep the first rows of a set's train split, on which the committed results rest: ``keep_first.py FOLDER N``."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

folder, number = Path(sys.argv[1]), int(sys.argv[2])
files = sorted(folder.rglob("train-*.parquet"))
kept = pa.concat_tables([pq.read_table(file) for file in files]).slice(0, number)
if kept.num_rows < number:
    raise SystemExit(f"error: {folder} has {kept.num_rows} training images, but {number} are to be kept.")
for file in files:
    file.unlink()
pq.write_table(kept, files[0].with_name("train-00000-of-00001.parquet"))
