#!/usr/bin/env python3
"""Reads a run's event files with the real TensorBoard and says what is in them. Not part of CI: needs `pip install tensorboard`.

    tests/tools/read_events.py RUN_FOLDER
"""
import io
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(folder):
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    for tag in tags["scalars"]:
        values = events.Scalars(tag)
        print(f"scalar {tag}: {len(values)} values, step {values[0].step} {values[0].value:.6g} "
              f"to step {values[-1].step} {values[-1].value:.6g}")
    for tag in tags["images"]:
        for image in events.Images(tag):
            png = io.BytesIO(image.encoded_image_string).read(24)
            size = struct.unpack(">II", png[16:24])
            assert png.startswith(b"\x89PNG") and size == (image.width, image.height), (tag, image.step)
            print(f"image {tag}: step {image.step}, {image.width} x {image.height}")
    for tag in tags["tensors"]:
        for value in events.Tensors(tag):
            text = value.tensor_proto.string_val[0].decode()
            print(f"text {tag}: step {value.step}, {len(text.splitlines())} lines, '{text.splitlines()[1]}' ...")
    return 0 if tags["scalars"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else print(__doc__.strip()) or 2)
