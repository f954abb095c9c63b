"""Sources: adapters and workloads from what people have - a CSV of adapters, a request trace, PEFT folders."""

import csv
import io
from pathlib import Path
from typing import Any

from adaptwin.errors import SpecError
from adaptwin.spec import read_text, spec_error
from adaptwin.workload.workload import Adapter
