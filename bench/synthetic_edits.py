"""Full-size edits whose right answer is known: photos and made pictures, what was done to them, and what a model at a
smaller size would give back of it. Seeds are fixed. Used by detail.py."""
import dataclasses
import pathlib

import numpy as np
from PIL import Image, ImageDraw

ASSETS = pathlib.Path(__file__).resolve().parent.parent / "assets"


@dataclasses.dataclass
class Case:
    name: str
    kind: str           # none, photometric, recolour, add, remove, background, style
    original: np.ndarray  # [H, W, 3] uint8
    truth: np.ndarray     # the edit at full size
    width: int          # of the model
    bend: float = 0     # pixels of the model, non-rigid


# Pictures --------------------------------------------------------------------------------------------------------------

def load(name):
    return np.asarray(Image.open(ASSETS / name).convert("RGB"))


def smooth_noise(rng, height, width, cells):
    """Noise of `cells` bumps across, about -1 ... 1."""
    small = rng.standard_normal((max(2, cells * height // width), cells)).astype(np.float32)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.BICUBIC))


def fractal(rng, height, width, first=3, slope=0.6):
    out, weight, cells = np.zeros((height, width), np.float32), 1.0, first
    while cells < width:
        out += weight * smooth_noise(rng, height, width, cells)
        cells, weight = cells * 2, weight * slope
    return out / np.abs(out).max()


def leaves(seed, width, height):
    """Dead leaves, the model of natural pictures with edges at every size, each leaf with a texture of its own."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 110, np.float32)
    texture = fractal(rng, height, width, 8, 0.8)
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    radii = np.sort(width * 0.16 / rng.uniform(1, 30, 900) ** 0.9)[::-1]
    for radius in radii:
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        angle, flat = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
        colour = np.clip(rng.normal((115, 110, 95), 55), 10, 245)
        x0, x1 = int(max(0, cx - radius - 2)), int(min(width, cx + radius + 3))
        y0, y1 = int(max(0, cy - radius - 2)), int(min(height, cy + radius + 3))
        if x0 >= x1 or y0 >= y1:
            continue
        x, y = xx[y0:y1, x0:x1] - cx, yy[y0:y1, x0:x1] - cy
        u, v = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / flat
        inside = np.clip((radius - np.hypot(u, v)) * flat + 0.5, 0, 1)[..., None]
        shade = 1 + 0.25 * (u / radius)[..., None] + rng.uniform(0.05, 0.5) * texture[y0:y1, x0:x1, None]
        part = picture[y0:y1, x0:x1]
        part += inside * (colour * shade - part)
    return finish(picture + rng.normal(0, 2.0, picture.shape))


def landscape(seed, width, height):
    """Sky with clouds, ridges, a field with stalks, a house with windows and a sign."""
    rng = np.random.default_rng(seed)
    yy = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky = np.stack([np.broadcast_to(c0 + (c1 - c0) * yy, (height, width)) for c0, c1 in ((90, 230), (140, 215), (215, 200))], -1)
    clouds = np.clip(fractal(rng, height, width, 3, 0.55) * 2.2, 0, 1)[..., None]
    picture = sky + clouds * (245 - sky)
    columns = np.arange(width)
    for k, (level, colour) in enumerate(((0.45, (110, 120, 140)), (0.55, (85, 105, 85)), (0.68, (150, 130, 70)))):
        ridge = height * (level + 0.08 * fractal(rng, 4, width, 3 + 2 * k, 0.6)[0])
        inside = np.clip(np.arange(height)[:, None] - ridge[None] + 0.5, 0, 1)[..., None]
        ground = np.array(colour, np.float32) * (1 + 0.45 * fractal(rng, height, width, 16, 0.85))[..., None]
        picture = picture + inside * (ground - picture)
    canvas = Image.fromarray(finish(picture)).resize((2 * width, 2 * height), Image.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    for _ in range(1500):
        x, y = rng.uniform(0, 2 * width), 2 * height * rng.uniform(0.78, 1.0)
        tone = int(rng.uniform(50, 190))
        draw.line((x, y, x + rng.normal(0, width / 60), y - rng.uniform(0.01, 0.08) * height),
                  fill=(tone, int(0.85 * tone), tone // 3), width=max(1, width // 500))
    hx, hy, hw, hh = int(1.1 * width), int(0.95 * height), int(0.5 * width), int(0.55 * height)
    draw.rectangle((hx, hy, hx + hw, hy + hh), fill=(190, 175, 160))
    draw.polygon((hx - hw // 10, hy, hx + hw // 2, hy - hh // 2, hx + hw + hw // 10, hy), fill=(120, 50, 40))
    for row in range(hh // 24):
        draw.line((hx, hy + 24 * row, hx + hw, hy + 24 * row), fill=(165, 150, 140), width=2)
    for i in range(3):
        for j in range(2):
            x, y = hx + hw * (2 * i + 1) // 8 + hw // 16, hy + hh * (2 * j + 1) // 6
            draw.rectangle((x, y, x + hw // 8, y + hh // 5), fill=(60, 80, 100), outline=(240, 240, 235), width=6)
    draw.text((hx + hw // 6, hy + 6 * hh // 8), "BAKERY 1907", fill=(40, 30, 30), font_size=max(12, hw // 9))
    picture = np.asarray(canvas.resize((width, height), Image.BOX), np.float32)
    return finish(picture + rng.normal(0, 1.5, picture.shape))


def finish(picture):
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


# Edits -----------------------------------------------------------------------------------------------------------------

def grey(p):
    return (p @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]


def night(p):
    p = p.astype(np.float32)
    return finish((0.35 * p + 0.1 * grey(p)) * np.array([0.55, 0.7, 1.15]) + (4, 6, 22))


def sepia(p):
    return finish(grey(p.astype(np.float32)) * np.array([1.05, 0.85, 0.62]) + (12, 6, 0))


def fog(p):
    p = p.astype(np.float32)
    depth = np.linspace(0.75, 0.25, p.shape[0], dtype=np.float32)[:, None, None]
    return finish(p + depth * (np.array([222, 225, 228], np.float32) - p))


def sunset(p):
    p = p.astype(np.float32)
    x = np.linspace(0, 1, p.shape[1], dtype=np.float32)[None, :, None]
    return finish(p * (np.array([1.1, 0.8, 0.6]) + x * np.array([0.1, -0.1, -0.15])) + (18, 4, 0))


def winter(p):
    p = p.astype(np.float32)
    return finish(0.45 * p + 0.3 * grey(p) + np.array([52, 58, 68]))


def negative(p):
    return 255 - p


def vignette(p):
    y, x = np.mgrid[-1:1:p.shape[0] * 1j, -1:1:p.shape[1] * 1j]
    return finish(p * (1 - 0.4 * np.clip(x * x + y * y, 0, 2))[..., None])


PHOTOMETRIC = {f.__name__: f for f in (night, sepia, fog, sunset, winter, negative, vignette)}


def soft(mask):
    """A boolean mask with an edge of about a pixel."""
    return np.asarray(Image.fromarray((mask * 255).astype(np.uint8)).resize((mask.shape[1] * 2, mask.shape[0] * 2), Image.BICUBIC)
                      .resize((mask.shape[1], mask.shape[0]), Image.BOX), np.float32)[..., None] / 255


def ellipse(p, cx, cy, rx, ry):
    """Parts of the width and height -> weight with an edge of a pixel."""
    h, w = p.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    d = np.hypot((x / w - cx) / rx, (y / h - cy) / ry)
    return np.clip((1 - d) * min(rx * w, ry * h) + 0.5, 0, 1)[..., None]


def recoloured(p, weight, matrix):
    f = p.astype(np.float32)
    return finish(f + weight * (f @ np.array(matrix, np.float32).T - f))


SWAP_RB = ((0.1, 0.2, 0.7), (0.2, 0.7, 0.1), (0.8, 0.2, 0))
GREENER = ((0.3, 0.2, 0), (0.6, 0.5, 0), (0.1, 0.1, 0.8))


def orange(p, *where):
    """The astronaut's suit, the coffee's saucer: what is orange, without specks, in an ellipse."""
    f = p.astype(np.int32)
    found = (f[..., 0] > 110) & (f[..., 0] - f[..., 2] > 70) & (f[..., 0] - f[..., 1] > 30)
    return (blurred(found.astype(np.float32), 3) > 0.5) & (ellipse(p, *where)[..., 0] > 0.5)


def pasted(p, patch, cx, cy, size):
    """`patch` as an ellipse, `size` of the width wide, into p."""
    h, w = p.shape[:2]
    pw = int(size * w)
    ph = pw * patch.shape[0] // patch.shape[1]
    picture = Image.fromarray(patch).resize((pw, ph), Image.LANCZOS)
    onto = Image.fromarray(p).copy()
    onto.paste(picture, (int(cx * w) - pw // 2, int(cy * h) - ph // 2))
    weight = ellipse(p, cx, cy, 0.46 * pw / w, 0.46 * ph / h)
    return finish(p + weight * (np.asarray(onto, np.float32) - p))


def mosaic(p):
    h, w = p.shape[:2]
    return np.asarray(Image.fromarray(p).resize((24, max(1, 24 * h // w)), Image.BOX).resize((w, h), Image.NEAREST))


def posterised(p):
    return finish(np.floor(p / 64.0) * 64 + 32)


# What a model gives back -----------------------------------------------------------------------------------------------

def blurred(a, sigma):
    radius = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(radius, radius) if i == axis else (0, 0) for i in range(a.ndim)]
        b = np.pad(a, pad, mode="edge")
        a = sum(k * np.take(b, np.arange(i, i + a.shape[axis]), axis) for i, k in enumerate(kernel))
    return a


def vae(p, rng, decibel=32):
    """A round trip: a little fine detail is lost, and noise stronger where there is structure, `decibel` in all."""
    f = p.astype(np.float64)
    detail = f - blurred(f, 1.0)
    noise = blurred(rng.standard_normal(f.shape), 0.6) * (1 + np.sqrt(blurred(detail ** 2, 3)) / 6)
    error = 255.0 ** 2 / 10 ** (decibel / 10)
    lost = 0.35 * detail
    lost *= min(1.0, np.sqrt(0.6 * error / max(np.mean(lost ** 2), 1e-9)))
    noise *= np.sqrt(max(error - np.mean(lost ** 2), 0.1 * error) / np.mean(noise ** 2))
    return finish(f - lost + noise)


def small_size(case):
    h, w = case.original.shape[:2]
    return max(16, 16 * round(h * case.width / w / 16)), case.width


@dataclasses.dataclass
class Made:
    source: np.ndarray
    reconstruction: np.ndarray
    edit: np.ndarray
    shift: tuple        # pixels of the model, at the centre
    zoom: float
    aligned: np.ndarray  # the edit, laid back by the truth


def displaced(picture, h, w, shift, zoom, bend, rng):
    """`picture` [H, W, 3] at h x w, where pixel x from the centre shows what was at (x - shift) / zoom."""
    H, W = picture.shape[:2]
    fx, fy = W / w, H / h
    margin = 64 + int(0.02 * W)
    padded = Image.fromarray(np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    if bend == 0:
        a = 1 / zoom
        cx, cy = W / 2, H / 2
        data = (a, 0, margin + cx - a * (cx + shift[0] * fx), 0, a, margin + cy - a * (cy + shift[1] * fy))
        moved = padded.transform((W, H), Image.AFFINE, data, Image.BICUBIC)
    else:
        step, mesh = 16, []
        angle = rng.uniform(0, 2 * np.pi, 4)
        def where(x, y):
            u, v = 2 * np.pi * x / W, 2 * np.pi * y / H
            return (margin + x - fx * (shift[0] + bend * np.sin(v + angle[0]) * np.cos(u + angle[1])),
                    margin + y - fy * (shift[1] + bend * np.sin(u + angle[2]) * np.cos(v + angle[3])))
        for y in range(0, H, step):
            for x in range(0, W, step):
                x1, y1 = min(x + step, W), min(y + step, H)
                corners = [where(*p) for p in ((x, y), (x, y1), (x1, y1), (x1, y))]
                mesh.append(((x, y, x1, y1), [c for p in corners for c in p]))
        moved = padded.transform((W, H), Image.MESH, mesh, Image.BICUBIC)
    return np.asarray(moved.resize((w, h), Image.BICUBIC))


def laid_back(edit, shift, zoom):
    h, w = edit.shape[:2]
    cx, cy, m = w / 2, h / 2, 16
    padded = Image.fromarray(np.pad(edit, ((m, m), (m, m), (0, 0)), mode="edge"))
    data = (zoom, 0, m + cx + shift[0] - zoom * cx, 0, zoom, m + cy + shift[1] - zoom * cy)
    return np.asarray(padded.transform((w, h), Image.AFFINE, data, Image.BICUBIC))


def make(case, seed, move=True):
    rng = np.random.default_rng(seed)
    h, w = small_size(case)
    shift = tuple(rng.uniform(-2, 2, 2)) if move else (0.0, 0.0)
    zoom = 1 + rng.uniform(-0.005, 0.005) if move else 1.0
    if case.bend:
        zoom = 1.0
    source = np.asarray(Image.fromarray(case.original).resize((w, h), Image.BICUBIC))
    moved = displaced(case.truth, h, w, shift, zoom, case.bend, rng)
    edit = finish(vae(moved, rng) + rng.uniform(-2, 2, 3))
    return Made(source, vae(source, rng), edit, shift, zoom, laid_back(edit, shift, zoom))


# The cases -------------------------------------------------------------------------------------------------------------

def originals():
    """Name -> picture and the model's width: photos by 2 and 2.7, made pictures by 4 and 5.3."""
    return {
        "astronaut": (load("astronaut.jpg"), 256),
        "coffee": (load("coffee.jpg"), 192),
        "cat": (load("cat.jpg"), 224),
        "rocket": (load("rocket.jpg"), 256),
        "leaves": (leaves(1, 2048, 1536), 512),
        "landscape": (landscape(2, 2048, 1360), 384),
    }


def cases():
    pictures = originals()
    photo = {name: p for name, (p, _) in pictures.items()}
    out = []
    for name, (p, width) in pictures.items():
        out.append(Case(f"none {name}", "none", p, p, width))
        out.append(Case(f"none, bent {name}", "bent none", p, p, width, 1.0))
    for i, (edit, function) in enumerate(PHOTOMETRIC.items()):
        for name in list(pictures)[i % 2::2]:
            p, width = pictures[name]
            out.append(Case(f"{edit} {name}", "photometric", p, function(p), width))

    def local(kind, edit, name, original, truth):
        for bend in (0.0, 1.0):
            bent = "bent " if bend else ""
            out.append(Case(f"{edit} {bent}{name}", bent + kind, original, truth, pictures[name][1], bend))

    for name, where in (("astronaut", (0.35, 0.75, 0.4, 0.4)), ("coffee", (0.5, 0.62, 0.34, 0.36))):
        p = photo[name]
        local("recolour", "recolour", name, p, recoloured(p, soft(orange(p, *where)), SWAP_RB))
    local("recolour", "recolour", "leaves", photo["leaves"],
          recoloured(photo["leaves"], ellipse(photo["leaves"], 0.4, 0.5, 0.14, 0.2), GREENER))
    roof = ellipse(photo["landscape"], 0.675, 0.6, 0.15, 0.14)
    local("recolour", "recolour", "landscape", photo["landscape"], recoloured(photo["landscape"], roof, SWAP_RB))
    cup, face = photo["coffee"][60:300, 120:420], photo["astronaut"][20:200, 140:320]
    eye, wheel = photo["cat"][60:220, 150:330], photo["leaves"][400:900, 500:1000]
    local("add", "add cup", "cat", photo["cat"], pasted(photo["cat"], cup, 0.25, 0.7, 0.3))
    local("add", "add face", "rocket", photo["rocket"], pasted(photo["rocket"], face, 0.2, 0.4, 0.22))
    local("add", "add leaf", "landscape", photo["landscape"], pasted(photo["landscape"], wheel, 0.25, 0.5, 0.2))
    local("add", "add flowers", "leaves", photo["leaves"],
          pasted(photo["leaves"], photo["landscape"][300:1000, 1000:1900], 0.6, 0.4, 0.25))
    local("remove", "remove eye", "coffee", pasted(photo["coffee"], eye, 0.85, 0.25, 0.2), photo["coffee"])
    local("remove", "remove leaf", "landscape", pasted(photo["landscape"], wheel, 0.2, 0.35, 0.18), photo["landscape"])
    local("remove", "swap", "astronaut", pasted(photo["astronaut"], cup, 0.2, 0.75, 0.3),
          pasted(photo["astronaut"], eye, 0.2, 0.75, 0.28))
    local("remove", "swap", "leaves", pasted(photo["leaves"], face, 0.3, 0.6, 0.2),
          pasted(photo["leaves"], photo["landscape"][:600, :800], 0.3, 0.6, 0.2))
    for name, behind, at in (("cat", "coffee", (0.55, 0.5, 0.3, 0.42)), ("astronaut", "landscape", (0.5, 0.55, 0.35, 0.5))):
        p, width = pictures[name]
        other = np.asarray(Image.fromarray(photo[behind]).resize((p.shape[1], p.shape[0]), Image.LANCZOS), np.float32)
        weight = ellipse(p, *at)
        out.append(Case(f"background {name}", "background", p, finish(other + weight * (p - other)), width))
    for edit in (posterised, mosaic):
        for name in ("cat", "leaves"):
            p, width = pictures[name]
            out.append(Case(f"{edit.__name__} {name}", "style", p, edit(p), width))
    return out
