# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks: `python -m bench` measures, judges and prints each row, beside a peer where there is one.

- `rows/`: the measures, as tests of pytest
- `loops/`: the compiled loops that they time
- `peer/`: DPDK's programs and drivers, measured in the same run
- `against/`: this tree beside another revision of it: `python -m bench.against`
- `conftest`: the frame of each measure: rounds, turns with a peer, a row at the end
- `judge`, `goals`: what pairs of figures say, and the ratios on record
- `noise`: how busy the machine is meanwhile
- `report`, `plot`: tables, `latest.json` and `latest.png`
- `sums`: adds up again the checksums of generated frames
- `wire`: packets between two processes: `python -m bench.wire`
- `ending`: how these programs end
"""
