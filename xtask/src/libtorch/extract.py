"""Unpacks what C++ programs need from PyTorch's wheels: python3 extract.py FOLDER WHEEL..."""

import os
import shutil
import sys
import zipfile

LIBRARIES = {"libc10.so", "libtorch_cpu.so", "libgomp.so.1", "libcupti.so.13", "libcudart.so.13"}
HEADERS = "torch/include/"


def destination(name):
    base = os.path.basename(name)
    if base in LIBRARIES and "/lib/" in name:
        return os.path.join("lib", base)
    if name.startswith(HEADERS) and base and ".." not in name:
        return os.path.join("include", name[len(HEADERS) :])
    return None


folder, *wheels = sys.argv[1:]
found = set()
for wheel in wheels:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            relative = destination(name)
            if relative is None:
                continue
            path = os.path.join(folder, relative)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(name) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            found.add(os.path.basename(name))
missing = LIBRARIES - found
if missing:
    sys.exit(f"the wheels lack {', '.join(sorted(missing))}")
