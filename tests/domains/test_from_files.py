import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from acclimate.domains.read import read
from acclimate.errors import DataError, SettingsError


def png(value, size=4):
    stream = io.BytesIO()
    Image.fromarray(np.full((size, size), value, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


PHOTOS = {
    "photo/cat/0_ann_1.png": png(10),
    "photo/dog/1_bob_1.png": png(20),
    "sketch/cat/0_ann_2.png": png(30),
    "sketch/dog/1_bob_2.png": png(40),
    "README.md": b"hello",
    "__MACOSX/photo/._x.png": b"junk",
    "photo/.DS_Store": b"junk",
}


def make(tmp_path, kind, files=PHOTOS):
    if kind == "zip":
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    path = tmp_path / "a"
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


kinds = pytest.mark.parametrize("kind", ["zip", "folder"])


@kinds
def test_class_folders(tmp_path, kind):
    path = make(tmp_path, kind)
    domain = read(path, label="label")
    assert domain.schema.modality == "image"
    assert domain.labels.tolist() == ["cat", "dog", "cat", "dog"]
    assert [image[0, 0] for image in domain.rows.take(np.array([3, 0]))] == [40, 10]
    assert read(path).labels is None
    assert read(path, label=True).labels.tolist() == domain.labels.tolist()


@kinds
def test_subfolders_may_be_repeated_and_deep(tmp_path, kind):
    path = make(tmp_path, kind)
    assert [i[0, 0] for i in read(f"{path}?folder=sketch").rows.take(np.arange(2))] == [30, 40]
    assert len(read(f"{path}?folder=sketch&folder=photo/dog")) == 3
    assert read(f"{path}?folder=photo&label=dog", label="label").labels.tolist() == ["dog"]
    with pytest.raises(DataError, match="no folder 'art'; folders found: photo, sketch"):
        read(f"{path}?folder=art")


@kinds
def test_fields_in_the_file_name(tmp_path, kind):
    path = make(tmp_path, kind)
    domain = read(f"{path}?name={{label}}_{{speaker}}_{{index}}", label="label", group="speaker")
    assert domain.labels.tolist() == ["0", "1", "0", "1"]
    assert domain.groups.tolist() == ["ann", "bob", "ann", "bob"]
    assert len(read(f"{path}?name={{label}}_{{speaker}}_{{index}}&speaker=bob&index=2")) == 1
    deep = read(f"{path}?name={{style}}/{{kind}}/{{rest}}", label="kind", group="style")
    assert deep.labels.tolist() == ["cat", "dog", "cat", "dog"]
    assert deep.groups.tolist() == ["photo", "photo", "sketch", "sketch"]
    with pytest.raises(DataError, match="does not fit the pattern"):
        read(f"{path}?name={{a}}-{{b}}")
    with pytest.raises(SettingsError, match="in braces"):
        read(f"{path}?name=label")
    with pytest.raises(SettingsError, match="a plain name"):
        read(f"{path}?name={{1}}")
    with pytest.raises(DataError, match="no field 'speeker'; did you mean 'speaker'"):
        read(f"{path}?name={{label}}_{{speaker}}_{{index}}", group="speeker")


@kinds
@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata(tmp_path, kind, name):
    rows = "file_name,label,site\ncat/0_ann_1.png,7,north\ndog/1_bob_1.png,8.0,south\n"
    if name.endswith("jsonl"):
        rows = (
            '{"file_name": "cat/0_ann_1.png", "label": 7, "site": "north"}\n'
            '{"file_name": "dog/1_bob_1.png", "label": 8.0, "site": "south"}\n'
        )
    path = make(tmp_path, kind, {**PHOTOS, f"photo/{name}": rows.encode()})
    domain = read(path, label="label", group="site")
    assert domain.labels.tolist() == ["7", "8"]
    assert domain.groups.tolist() == ["north", "south"]
    assert any("list are rows" in note for note in domain.notes)
    assert len(read(f"{path}?site=south")) == 1
    assert len(read(f"{path}?folder=sketch")) == 2


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_list_of_files_stands_for_its_folder(tmp_path, name):
    """As `--source clips/metadata.csv`; any other table of this name is a table."""
    path = make(tmp_path, "folder", PHOTOS)
    rows = {"metadata.csv": "file_name,site\ncat/0_ann_1.png,north\n", "metadata.jsonl": ""}
    rows["metadata.jsonl"] = '{"file_name": "cat/0_ann_1.png", "site": "north"}\n'
    (path / "photo" / name).write_text(rows[name])
    domain = read(path / "photo" / name, label="site")
    assert domain.schema.modality == "image" and domain.labels.tolist() == ["north"]
    assert len(read(f"{path / 'photo' / name}?site=north")) == 1
    (tmp_path / "metadata.csv").write_text("a,b,y\n1,2,3\n4,5,6\n")
    assert read(tmp_path / "metadata.csv", input=["a", "b"], label="y").schema.modality == "table"


@kinds
def test_metadata_above_the_chosen_folder(tmp_path, kind):
    rows = "file_name,label\nphoto/cat/0_ann_1.png,7\nphoto/dog/1_bob_1.png,8\nsketch/dog/1_bob_2.png,9\n"
    path = make(tmp_path, kind, {**PHOTOS, "metadata.csv": rows.encode()})
    assert read(f"{path}?folder=photo", label="label").labels.tolist() == ["7", "8"]
    assert read(f"{path}?folder=sketch", label="label").labels.tolist() == ["9"]


def test_metadata_in_lines_of_json(tmp_path):
    line = '{"file_name": "photo/cat/0_ann_1.png", "label": "a\u2028b"}\r\n'
    path = make(tmp_path, "folder", {**PHOTOS, "metadata.jsonl": line.encode()})
    assert read(path, label="label").labels.tolist() == ["a\u2028b"]
    (path / "metadata.jsonl").write_text("[" * 100_000)
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read(path)


def test_metadata_may_be_longer_than_a_text(tmp_path):
    rows = f"file_name,label,note\nphoto/cat/0_ann_1.png,7,{'x' * 120_000}\n"
    padding = "".join(f"photo/{i}.png,1,{'x' * 120_000}\n" for i in range(90))
    extra = {f"photo/{i}.png": png(1) for i in range(90)}
    path = make(tmp_path, "folder", {**PHOTOS, **extra, "metadata.csv": (rows + padding).encode()})
    assert len(read(path, label="label")) == 91


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ("file_name,label\nnone.png,1\n", "list none.png, which is not there"),
        ("file,label\nx.png,1\n", "expected a column file_name"),
        ("file_name,label\nx.png,1,2\n", "more cells"),
        ("file_name,label\nphoto/cat/0_ann_1.png,1\n./photo/cat/0_ann_1.png,2\n", "is listed twice"),
    ],
)
def test_broken_metadata(tmp_path, rows, match):
    with pytest.raises(DataError, match=match):
        read(make(tmp_path, "zip", {**PHOTOS, "metadata.csv": rows.encode()}))


def test_metadata_labels_do_not_matter_unless_asked_for(tmp_path):
    row = "file_name,label\nphoto/cat/0_ann_1.png,"
    clean = read(make(tmp_path, "zip", {**PHOTOS, "metadata.csv": f"{row}3\n".encode()}))
    poisoned = read(make(tmp_path, "zip", {**PHOTOS, "metadata.csv": f"{row}\n".encode()}))
    assert poisoned.fingerprint == clean.fingerprint
    with pytest.raises(DataError, match="1 of 1 rows have no value"):
        read(tmp_path / "a.zip", label="label")


def test_same_content_has_the_same_id_whatever_its_name_and_place(tmp_path):
    one = read(make(tmp_path, "zip"))
    other = read(make(tmp_path, "folder", {f"x/{i}.png": data for i, data in enumerate(PHOTOS.values()) if i < 4}))
    assert set(one.ids) == set(other.ids)


@kinds
def test_texts(tmp_path, kind):
    path = make(tmp_path, kind, {"pos/1.txt": "schön".encode(), "neg/2.txt": b"\xef\xbb\xbfbad\n", "x.pdf": b"%"})
    domain = read(path, label="label")
    assert domain.schema.modality == "text"
    assert domain.rows.take(np.arange(2)) == ["bad\n", "schön"]
    assert domain.labels.tolist() == ["neg", "pos"]
    path = make(tmp_path, kind, {"pos/1.txt": b"ok\nsch\xf6n"})
    with pytest.raises(DataError, match=r"pos/1\.txt: line 2 is not UTF-8 \(byte 6: 0xf6\)"):
        read(path)


@kinds
def test_sounds(tmp_path, kind):
    soundfile = pytest.importorskip("soundfile")
    stream = io.BytesIO()
    tone = np.stack([np.sin(np.arange(800) / 5), np.zeros(800)], axis=1)
    soundfile.write(stream, tone, 8000, format="FLAC")
    path = make(tmp_path, kind, {"7_ann_0.flac": stream.getvalue()})
    ((samples, rate),) = read(path).rows.take(np.arange(1))
    assert rate == 8000
    assert samples.dtype == np.float32
    assert np.abs(samples - tone.mean(axis=1)).max() < 1e-4
    path = make(tmp_path, kind, {"7_ann_0.flac": stream.getvalue()[:60]})
    with pytest.raises(DataError, match=r"7_ann_0\.flac: broken or truncated sound"):
        read(path).rows.take(np.arange(1))


def test_several_kinds_need_a_choice(tmp_path):
    path = make(tmp_path, "zip", {**PHOTOS, "photo/note.txt": b"hi"})
    with pytest.raises(DataError, match=r"several kinds \(4 image, 1 text\)"):
        read(path)
    assert len(read(path, modality="image")) == 4
    assert len(read(f"{path}?folder=sketch")) == 2
    with pytest.raises(DataError, match="no audio files; found 4 image files, 1 text files"):
        read(path, modality="audio")


def test_no_files(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image, text or sound files"):
        read(tmp_path / "empty")
    with pytest.raises(DataError, match="no image, text or sound files"):
        read(make(tmp_path, "zip", {"a.exe": b""}))


def test_files_without_class_folder(tmp_path):
    path = make(tmp_path, "zip", {"one.png": png(1), "cat/two.png": png(2)})
    assert len(read(path)) == 2
    with pytest.raises(DataError, match=r"one\.png lies in no class folder"):
        read(path, label="label")


def test_one_file(tmp_path):
    path = make(tmp_path, "folder") / "photo/cat/0_ann_1.png"
    assert read(path).rows.take(np.arange(1))[0][0, 0] == 10


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "..\\evil.png"])
def test_zip_members_that_lead_out(tmp_path, name):
    with pytest.raises(DataError, match="leads out of the archive"):
        read(make(tmp_path, "zip", {**PHOTOS, name: png(1)}))


def test_zip_bomb(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(70 << 20))
    with pytest.raises(DataError, match="would grow from"):
        read(path)


@pytest.mark.parametrize("damage", ["cut", "flip", "junk"])
def test_broken_zip(tmp_path, damage):
    path = make(tmp_path, "zip")
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[data.index(b"IDAT") + 6] ^= 1
    path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"junk" if damage == "junk" else data)
    with pytest.raises(DataError, match=r"a\.zip"):
        read(path)


def test_broken_images_in_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"cat/x\.png: broken or truncated"):
        read(make(tmp_path, "folder", {"cat/x.png": b"no image"}))
    with pytest.raises(DataError, match=r"cat/x\.png: the file is empty"):
        read(make(tmp_path, "folder", {"cat/x.png": b""}))
    domain = read(make(tmp_path, "folder", {"cat/x.png": png(3, 64)[:-30]}))
    with pytest.raises(DataError, match=r"cat/x\.png: broken or truncated"):
        domain.rows.take(np.arange(1))


def test_links_out_of_the_folder_are_ignored(tmp_path):
    path = make(tmp_path, "folder")
    (tmp_path / "secret.png").write_bytes(png(99))
    (path / "photo/cat/link.png").symlink_to(tmp_path / "secret.png")
    (path / "photo/cat/inside.png").symlink_to(path / "photo/dog/1_bob_1.png")
    (path / "loop").symlink_to(path)
    assert len(read(path)) == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path):
    path = make(tmp_path, "folder")
    (path / "photo").chmod(0)
    try:
        with pytest.raises(DataError, match="cannot be read"):
            read(path)
    finally:
        (path / "photo").chmod(0o700)


def test_zip_rows_survive_fork_pickle_and_threads(tmp_path):
    import pickle
    from concurrent.futures import ThreadPoolExecutor

    rows = read(make(tmp_path, "zip")).rows
    expected = [int(image[0, 0]) for image in rows.take(np.arange(4))]
    child = os.fork()
    if child == 0:
        os._exit(0 if [int(i[0, 0]) for i in rows.take(np.arange(4))] == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: int(rows.take(np.array([i % 4]))[0][0, 0]), range(200)))
    assert found == [expected[i % 4] for i in range(200)]
    assert [int(i[0, 0]) for i in pickle.loads(pickle.dumps(rows)).take(np.arange(4))] == expected


def test_real_photos_and_digits(shared_data):
    photos = read(f"{shared_data}/images/pacs_112px_jpeg.zip?folder=photo", label="label")
    assert len(photos) == 1670
    assert sorted(set(photos.labels)) == ["dog", "elephant", "giraffe", "guitar", "horse", "house", "person"]
    path = f"{shared_data}/speech/fsdd_5speakers_flac.zip?name={{label}}_{{speaker}}_{{index}}"
    spoken = read(f"{path}&index=0&index=1", label="label", group="speaker")
    assert len(spoken) == 100
    assert sorted(set(spoken.groups)) == ["george", "jackson", "lucas", "nicolas", "yweweler"]


def test_class_folders_that_are_not_utf8(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    with open(os.path.join(folder, b"a.png"), "wb") as out:
        out.write(png(1))
    with pytest.raises(DataError, match=r"label: 'caf\\udce9' holds half a character"):
        read(tmp_path, label="label")


def test_a_list_of_files_keeps_its_order(tmp_path):
    root = make(tmp_path, "folder")
    paths = [root / "sketch/dog/1_bob_2.png", root / "photo/cat/0_ann_1.png"]
    domain = read(paths, label="label")
    assert (domain.schema.modality, domain.labels.tolist()) == ("image", ["dog", "cat"])
    assert [image[0, 0] for image in domain.rows.take(np.arange(2))] == [40, 10]
    assert np.array_equal(read([str(path) for path in paths]).ids, domain.ids)
    assert read((paths, [3, 4]), label=True).labels.tolist() == ["3", "4"]
    assert read(["no such file.png", "a text"]).schema.modality == "text"
    with pytest.raises(DataError, match=r"README\.md: the other files are of modality image"):
        read([*paths, root / "README.md"], modality="image")
    with pytest.raises(DataError, match="1 labels"):
        read((paths, [3]), label=True)
