"""The environment variables that make numbers the same everywhere."""

from __future__ import annotations

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # the order of a sum depends on the number of threads
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # TensorFlow's own word: oneDNN changes the last digits from machine to machine
    "CUDA_VISIBLE_DEVICES": "",  # the recorded numbers are those of a CPU
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
"""The environment of every recorded, and of every tested, kernel."""
