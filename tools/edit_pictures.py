#!/usr/bin/env python3
"""The pictures of real edits in docs/pictures: quickstart.jpg and detail-nano.jpg, made anew.

    tools/edit_pictures.py [--icedit build/release/icedit] [--output docs/pictures]

Edits are those of scripts/quickstart.sh with its seed. Needs Pillow."""
import argparse
import pathlib
import re
import subprocess
import tempfile

from PIL import Image, ImageDraw, ImageFont

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH = 150  # of a picture in a sheet, pixels
SEED = "1"


def edits_of_quickstart():
    listed = re.search(r"edits=\((.*?)\)", (ROOT / "scripts/quickstart.sh").read_text(), re.S).group(1)
    return [tuple(text.split("|")) for text in re.findall(r'"(.*?)"', listed)]


def small(path):
    picture = Image.open(path).convert("RGB")
    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.LANCZOS)


def row(pictures):
    made = Image.new("RGB", (WIDTH * len(pictures), max(p.height for p in pictures)), "white")
    for i, picture in enumerate(pictures):
        made.paste(picture, (WIDTH * i, 0))
    return made


def in_columns(rows, columns):
    gap, each = 5, -(-len(rows) // columns)
    parts = [rows[i:i + each] for i in range(0, len(rows), each)]
    width = rows[0].width
    made = Image.new("RGB", (len(parts) * (width + gap) - gap, max(sum(r.height for r in part) for part in parts)), "white")
    for i, part in enumerate(parts):
        top = 0
        for one in part:
            made.paste(one, (i * (width + gap), top))
            top += one.height
    return made


def captioned(rows, captions, columns):
    """Lines of so many rows, each with its caption below."""
    gap, below, font = 6, 20, ImageFont.load_default(13)
    lines = [list(zip(rows, captions))[i:i + columns] for i in range(0, len(rows), columns)]
    heights = [max(r.height for r, _ in line) + below for line in lines]
    made = Image.new("RGB", (columns * (rows[0].width + gap) - gap, sum(heights)), "white")
    draw, top = ImageDraw.Draw(made), 0
    for line, height in zip(lines, heights):
        for i, (one, caption) in enumerate(line):
            left = i * (one.width + gap)
            made.paste(one, (left, top))
            draw.text((left, top + one.height + 1), caption, "black", font)
        top += height
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--icedit", default=str(ROOT / "build/release/icedit"))
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs/pictures")
    args = parser.parse_args()
    before_after, detail, edits = [], [], edits_of_quickstart()
    with tempfile.TemporaryDirectory() as folder:
        def edit(picture, instruction, name, *more):
            out = f"{folder}/{name}.png"
            subprocess.run([args.icedit, "edit", picture, instruction, "--seed", SEED, "--output-size", "source", "--force", "--quiet",
                            "-o", out, *more], check=True, stdout=subprocess.DEVNULL)
            return small(out)

        for picture, instruction in edits:
            source = ROOT / "assets" / picture
            kept = edit(source, instruction, "kept", "--change-map", f"{folder}/map.png")
            lanczos = edit(source, instruction, "lanczos", "--detail", "model")
            before_after.append(row([small(source), kept]))
            detail.append(row([small(source), lanczos, kept, small(f"{folder}/map.png")]))
    # Photographs first; pictures of one height share a line.
    order = sorted(range(len(edits)), key=lambda i: before_after[i].height)
    captioned([before_after[i] for i in order], [edits[i][1] for i in order], 4).save(args.output / "quickstart.jpg", quality=90)
    in_columns(detail, 2).save(args.output / "detail-nano.jpg", quality=90)


if __name__ == "__main__":
    main()
