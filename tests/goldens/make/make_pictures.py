"""PNG, JPEG and WebP files of every kind, and the pixels that Pillow reads from them."""
import io
import struct
import zlib

from PIL import ExifTags, ImageOps, PngImagePlugin

from common import *

W, H = 21, 13
ORIENTATION = ExifTags.Base.Orientation
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]  # Adam7: x, y, step x, step y


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples, color_type, depth, interlaced=False, before=b"", after=b""):
    """Written by hand: kinds that Pillow does not write. samples: [h, w, channels] integers."""
    h, w, _ = samples.shape

    def rows(part):
        out = b""
        for row in part.reshape(part.shape[0], -1):
            bits = "".join(f"{v:0{depth}b}" for v in row)
            bits += "0" * (-len(bits) % 8)
            out += b"\0" + bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        return out

    parts = [samples[y::sy, x::sx] for x, y, sx, sy in PASSES] if interlaced else [samples]
    data = b"".join(rows(p) for p in parts if p.size)
    header = struct.pack(">IIBBBBB", w, h, depth, color_type, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(data, 9)) + after + chunk(b"IEND", b"")


def saved(image, **options):
    f = io.BytesIO()
    image.save(f, **options)
    return f.getvalue()


def exif(orientation, big_endian=False):
    e = Image.Exif()
    e.endian = ">" if big_endian else "<"
    e[ORIENTATION] = orientation
    return e.tobytes()


def riff(*chunks):
    body = b"WEBP" + b"".join(n + struct.pack("<I", len(d)) + d + b"\0" * (len(d) % 2) for n, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def three(n):
    return struct.pack("<I", n)[:3]


def cases(seed):
    """name -> bytes"""
    rgb, rgba = picture(W, H, seed), picture(W, H, seed, "RGBA")
    a = np.array(rgb).astype(int)
    grey = np.array(rgb.convert("L")).astype(int)[..., None]
    alpha = np.array(rgba)[..., 3:].astype(int)
    fine = np.random.default_rng(seed).integers(0, 256, (H, W, 4))  # the low bytes of 16-bit samples
    a16, g16, alpha16 = a * 256 + fine[..., :3], grey * 256 + fine[..., :1], alpha * 256 + fine[..., 3:]
    small16 = g16.copy()
    small16[:, : W // 2] //= 256  # below 256: what Pillow does not clip
    palette = rgb.quantize(13)
    table = chunk(b"PLTE", bytes(palette.getpalette()[:13 * 3]))
    indices = np.array(palette).astype(int)[..., None]
    two = (indices % 4)
    table4 = chunk(b"PLTE", bytes(palette.getpalette()[:4 * 3]))
    out = {
        "rgb.png": saved(rgb, format="PNG"),
        "rgba.png": saved(rgba, format="PNG"),
        "grey.png": saved(rgb.convert("L"), format="PNG"),
        "grey_alpha.png": saved(rgba.convert("LA"), format="PNG"),
        "one_bit.png": saved(rgb.convert("1"), format="PNG"),
        "grey_2bit.png": png(grey // 64, 0, 2),
        "grey_4bit.png": png(grey // 16, 0, 4),
        "grey_16bit.png": png(small16, 0, 16),
        "grey_alpha_16bit.png": png(np.concatenate([g16, alpha16], -1), 4, 16),
        "rgb_16bit.png": png(a16, 2, 16),
        "rgba_16bit.png": png(np.concatenate([a16, alpha16], -1), 6, 16),
        "palette.png": saved(palette, format="PNG"),
        "palette_1bit.png": png(indices % 2, 3, 1, before=chunk(b"PLTE", bytes([200, 30, 60, 10, 90, 240]))),
        "palette_2bit.png": png(two, 3, 2, before=table4),
        "palette_4bit.png": png(indices, 3, 4, before=table),
        "palette_short.png": png(indices, 3, 8, before=table4),  # indices above the palette's 4 entries
        "palette_transparent.png": png(indices, 3, 8, before=table + chunk(b"tRNS", bytes([0, 128, 255, 40, 90]))),
        "palette_one_transparent.png": png(indices, 3, 4, before=table + chunk(b"tRNS", bytes([255, 255, 0]))),
        "grey_key.png": png(grey, 0, 8, before=chunk(b"tRNS", struct.pack(">H", int(grey[3, 5, 0])))),
        "grey_key_4bit.png": png(grey // 16, 0, 4, before=chunk(b"tRNS", struct.pack(">H", int(grey[3, 5, 0]) // 16))),
        "rgb_key.png": png(a, 2, 8, before=chunk(b"tRNS", struct.pack(">HHH", *map(int, a[4, 6])))),
        "rgb_interlaced.png": png(a, 2, 8, interlaced=True),
        "grey_2bit_interlaced.png": png(grey // 64, 0, 2, interlaced=True),
        "palette_4bit_interlaced.png": png(indices, 3, 4, interlaced=True, before=table),
        "rgba_16bit_interlaced.png": png(np.concatenate([a16, alpha16], -1), 6, 16, interlaced=True),
        "one_pixel_interlaced.png": png(a[:1, :1], 2, 8, interlaced=True),
        "gamma.png": png(a, 2, 8, before=chunk(b"gAMA", struct.pack(">I", 100000))),  # Pillow does not apply it
    }
    for i, big in ((3, False), (6, True)):
        out[f"exif_{i}.png"] = saved(rgb, format="PNG", exif=exif(i, big))
    out["exif_8_after.png"] = png(a, 2, 8, after=chunk(b"eXIf", exif(8)[6:]))
    out["exif_bad.png"] = saved(rgb, format="PNG", exif=exif(9))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="7"/></x:xmpmeta>'
    out["xmp_7.png"] = png(a, 2, 8, before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    raw = exif(5)
    profile = b"\nexif\n" + f"{len(raw):8}\n".encode() + raw.hex().encode() + b"\n"
    out["raw_profile_5.png"] = png(a, 2, 8, before=chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)))

    big = picture(37, 29, seed + 1)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        out[f"rgb_{name}.jpg"] = saved(big, format="JPEG", quality=80, subsampling=subsampling)
    out["rgb_progressive.jpg"] = saved(big, format="JPEG", quality=70, progressive=True)
    out["rgb_as_rgb.jpg"] = saved(big, format="JPEG", quality=90, keep_rgb=True)
    out["rgb_restart.jpg"] = saved(big, format="JPEG", quality=60, restart_marker_blocks=2)
    out["grey.jpg"] = saved(big.convert("L"), format="JPEG", quality=80)
    cmyk = Image.fromarray(np.dstack([255 - np.array(big), np.array(big.convert("L")) // 3]).astype(np.uint8), "CMYK")
    out["cmyk.jpg"] = saved(cmyk, format="JPEG", quality=90)
    adobe = out["cmyk.jpg"].index(b"Adobe") + 11
    assert out["cmyk.jpg"][adobe] == 0
    out["ycck.jpg"] = out["cmyk.jpg"][:adobe] + b"\2" + out["cmyk.jpg"][adobe + 1:]  # the same numbers, read as YCCK
    begin = out["cmyk.jpg"].index(b"\xff\xee")
    out["cmyk_no_adobe.jpg"] = out["cmyk.jpg"][:begin] + out["cmyk.jpg"][begin + 16:]
    for i in range(1, 9):
        out[f"exif_{i}.jpg"] = saved(rgb, format="JPEG", quality=85, exif=exif(i, big_endian=i % 2 == 0))
    out["xmp_6.jpg"] = saved(rgb, format="JPEG", quality=85, xmp=xmp.replace(b'"7"', b'"6"'))

    out["lossy.webp"] = saved(big, format="WEBP", quality=70)
    out["lossless.webp"] = saved(big, format="WEBP", lossless=True)
    out["lossy_alpha.webp"] = saved(rgba, format="WEBP", quality=70)
    out["lossless_alpha.webp"] = saved(rgba, format="WEBP", lossless=True, exact=True)
    for i in (5, 8):
        out[f"exif_{i}.webp"] = saved(rgb, format="WEBP", quality=80, exif=exif(i))
    out["animated.webp"] = saved(rgb, format="WEBP", lossless=True, save_all=True, append_images=[rgb.rotate(180)])
    out["animated_alpha.webp"] = saved(rgba, format="WEBP", quality=60, save_all=True, append_images=[rgba.rotate(180)])
    still = saved(rgba, format="WEBP", lossless=True, exact=True)  # its first frame covers a part of the canvas
    frame = three(4 // 2) + three(6 // 2) + three(W - 1) + three(H - 1) + three(100) + b"\0" + still[12:]
    out["animated_part.webp"] = riff((b"VP8X", bytes([0x12, 0, 0, 0]) + three(31) + three(23)), (b"ANIM", bytes([255] * 4 + [0, 0])),
                                     (b"ANMF", frame))
    return out


def text_cases(seed):
    """name -> (bytes, the text that is in it)"""
    rgb = picture(W, H, seed)
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "Pillow caf\xe9")  # tEXt, Latin-1
    info.add_itxt("instruction", "make it winter, \u51ac", lang="en")
    info.add_itxt("long", "word " * 300, zip=True)
    e = Image.Exif()
    e[ExifTags.Base.ImageDescription] = "a description"
    e[ExifTags.Base.Software] = "Pillow"
    e.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"ASCII\0\0\0plain words"
    words = dict(Description="a description", Software="Pillow", UserComment="plain words")
    return {
        "text.png": (saved(rgb, format="PNG", pnginfo=info),
                     dict(Software="Pillow caf\xe9", instruction="make it winter, \u51ac", long="word " * 300)),
        "text.jpg": (saved(rgb, format="JPEG", exif=e.tobytes()), words),
        "text.webp": (saved(rgb, format="WEBP", exif=e.tobytes()), words),
    }


def with_alpha(image, data):
    """RGBA with the file's transparency; None without. 16-bit grey by its high byte."""
    if image.mode == "I;16":
        return Image.fromarray((np.array(image) >> 8).astype(np.uint8)), None
    if data[24:26] == b"\4\0" and "transparency" in image.info:  # Pillow scales the 4-bit samples but not the key
        image.info["transparency"] *= 17
    if image.mode in ("RGBA", "LA") or "transparency" in image.info:
        return None, image.convert("RGBA")
    return image.convert("RGB"), None


def resizes(seed):
    """Beyond image/resize.safetensors: one side unchanged, 1 pixel, strong shrinking, every filter for every mode."""
    filters = dict(nearest=Image.Resampling.NEAREST, bilinear=Image.Resampling.BILINEAR, bicubic=Image.Resampling.BICUBIC, lanczos=Image.Resampling.LANCZOS)
    sizes = [((40, 30), (40, 11)), ((40, 30), (13, 30)), ((1, 1), (9, 5)), ((61, 47), (1, 1)), ((90, 70), (7, 5)), ((23, 17), (50, 41)),
             ((2, 31), (33, 3)), ((47, 3), (48, 2))]
    t = {}
    for i, (source, target) in enumerate(sizes):
        for mode in ("L", "RGB", "RGBA"):
            noise = np.random.default_rng(seed + i).integers(0, 256, (source[1], source[0], 4), dtype=np.uint8)
            noise[noise < 20] = 0
            noise[noise > 235] = 255
            image = Image.fromarray(noise).convert(mode) if mode == "L" else Image.fromarray(noise[..., :len(mode)])
            t[f"{i}_{mode}.source"] = np.array(image)
            for name, f in filters.items():
                t[f"{i}_{mode}.{name}"] = np.array(image.resize(target, f))
    return t


def main():
    ctx = start(__file__)
    t, total = {}, 0
    for name, data in cases(ctx.seed % 1000 + 90).items():
        ctx.path("pictures/" + name).write_bytes(data)
        ctx.note("pictures/" + name, "read by tests/io")
        total += len(data)
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        exact = image.convert("RGB")
        t[name + ".exact"] = np.array(exact)
        opaque, rgba = with_alpha(image, data)
        if rgba is not None:
            opaque = Image.new("RGB", rgba.size, (255, 255, 255))
            opaque.paste(rgba, mask=rgba.getchannel("A"))
            t[name + ".rgba"] = np.array(rgba)
        opaque = opaque.convert("RGB")
        if opaque.tobytes() != exact.tobytes():
            t[name + ".opaque"] = np.array(opaque)
        t[name + ".mask"] = np.array(opaque.convert("L"))
    ctx.save("pictures/pixels.safetensors", {k: torch.from_numpy(v) for k, v in t.items()},
             "of every file in pictures/, turned upright: exact = Pillow's convert(\"RGB\"); rgba = convert(\"RGBA\") where there is transparency; "
             "opaque = that over white, or 16-bit grey by its high byte, where it differs from exact; mask = convert(\"L\") of the opaque one")
    ctx.save("pictures/resize.safetensors", {k: torch.from_numpy(v) for k, v in resizes(ctx.seed % 1000).items()},
             "N_MODE.source -> N_MODE.FILTER, PIL Image.resize to the size of the result; noise with many 0 and 255")
    texts = {}
    for name, (data, text) in text_cases(ctx.seed % 1000 + 95).items():
        ctx.path("pictures/" + name).write_bytes(data)
        ctx.note("pictures/" + name, "text written by Pillow")
        texts[name] = text
    ctx.save_json("pictures/texts.json", texts, "the text in pictures/text.*")
    print(f"{total} bytes of pictures")


main()
