"""Folders of images with masks or boxes beside them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from acclimate.domains.boxes import from_text as boxes_of
from acclimate.domains.legends import CITYSCAPES
from acclimate.domains.masks import VOID, from_text
from acclimate.domains.read import read
from acclimate.errors import DataError


def png(values):
    image = Image.fromarray(np.asarray(values, dtype=np.uint8))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def put(folder, **files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return str(folder)


def photo(value=100, size=(2, 3)):
    return png(np.full(size, value))


MASK = [[0, 255, 255], [0, 0, 255]]


def index(domain, row=0, categories=("background", "vessels")):
    return from_text(domain.labels[row]).index(categories).tolist()


def test_masks_lie_beside_images_and_are_no_rows(tmp_path):
    files = {"a/images/1.png": photo(), "a/vessels/1.png": png(MASK), "a/fov/1.png": png(np.full((2, 3), 255))}
    path = put(tmp_path, **files, **{"b/images/1.png": photo(9), "b/vessels/1_mask.png": png(np.zeros((2, 3)))})
    domain = read(f"{path}?folder=a", label="masks", shapes="masks")
    assert len(domain) == 1 and domain.rows.take(np.array([0]))[0][0, 0] == 100
    assert index(domain) == [[0, 1, 1], [0, 0, 1]]
    assert index(read(path, label="vessels", shapes="masks"), 1) == [[0, 0, 0], [0, 0, 0]]
    assert index(read(f"{path}?folder=a", label="fov", shapes="masks"), 0, ("background", "fov")) == [[1, 1, 1]] * 2


def test_without_a_label_no_mask_is_opened(tmp_path):
    path = put(tmp_path, **{"images/1.png": photo(), "masks/1.png": b"not an image at all"})
    domain = read(path, shapes="masks")
    assert len(domain) == 1 and domain.labels is None
    with pytest.raises(DataError, match=r"masks/1.png: broken"):
        read(path, label="masks", shapes="masks")


def test_legends_give_names_to_numbers_and_colours(tmp_path):
    colours = np.array([[[128, 64, 128], [0, 0, 0], [9, 9, 9]]] * 2, dtype=np.uint8)
    path = put(
        tmp_path,
        **{
            "images/1.png": photo(),
            "masks/1.png": png(colours),
            "legend.json": {"128,64,128": "road", "0": None, "9": "x"},
        },
    )
    assert index(read(path, label="masks", shapes="masks"), 0, ("road", "x")) == [[0, VOID, 1]] * 2
    with pytest.raises(DataError, match=r"the mask holds 128,64,128, which no legend explains; known: 0 \(no label\)"):
        (tmp_path / "legend.json").write_text('{"0": null, "9": "x"}')
        read(path, label="masks", shapes="masks")
    (tmp_path / "legend.json").write_text("[]")
    with pytest.raises(DataError, match=r"legend.json: expected a JSON object"):
        read(path, label="masks", shapes="masks")


def test_numbers_without_a_legend(tmp_path):
    path = put(tmp_path, **{"images/1.png": photo(), "masks/1.png": png([[0, 1, 2], [255, 0, 0]])})
    assert index(read(path, label="masks", shapes="masks"), 0, ("0", "1", "2")) == [[0, 1, 2], [VOID, 0, 0]]
    put(tmp_path, **{"masks/1.png": png([[0, 127, 255], [0, 0, 0]])})
    with pytest.raises(
        DataError, match=r"masks hold the values 0, 127, 255: neither two values nor numbers of classes"
    ):
        read(path, label="masks", shapes="masks")


def test_a_stray_value_is_told_with_its_file(tmp_path):
    files = {f"images/{k}.png": photo(k) for k in range(4)} | {f"masks/{k}.png": png(MASK) for k in range(4)}
    path = put(tmp_path, **{**files, "masks/2.png": png([[0, 255, 97], [0, 0, 255]])})
    with pytest.raises(DataError, match=r"values 0, 97, 255: .* 97 is in 1 of 4 masks, such as masks/2\.png"):
        read(path, label="masks", shapes="masks")


def test_masks_that_do_not_fit_are_refused(tmp_path):
    path = put(tmp_path, **{"images/1.png": photo(), "masks/1.png": png(np.zeros((3, 3)))})
    with pytest.raises(DataError, match=r"masks/1.png: the mask is 3 x 3 pixels, its image 3 x 2"):
        read(path, label="masks", shapes="masks")
    put(tmp_path, **{"masks/1.png": png(MASK), "images/2.png": photo(1)})
    with pytest.raises(DataError, match=r"images/2.png: no mask in 'masks'"):
        read(path, label="masks", shapes="masks")
    put(tmp_path, **{"others/1.png": png(MASK), "others/2.png": png(MASK)})
    assert len(read(path, label="others", shapes="masks")) == 2
    with pytest.raises(DataError, match="no folder 'vessels' of masks beside the images; found: masks, others"):
        read(path, label="vessels", shapes="masks")
    (tmp_path / "masks").rename(tmp_path / "further")
    with pytest.raises(DataError, match="several folders of masks; name one with --label: further, others"):
        read(path, label="masks", shapes="masks")


def test_cityscapes_foggy_gta5_and_synthia(tmp_path):
    ids = [[7, 26, 0], [24, 8, 4]]
    expected = [[0, 13, VOID], [11, 1, VOID]]
    name = "aachen/aachen_000000_000019"
    city = put(
        tmp_path / "city",
        **{
            f"leftImg8bit/train/{name}_leftImg8bit.png": photo(),
            f"leftImg8bit_foggy/train/{name}_leftImg8bit_foggy_beta_0.02.png": photo(150),
            f"gtFine/train/{name}_gtFine_labelIds.png": png(ids),
            f"gtFine/train/{name}_gtFine_color.png": png(np.zeros((2, 3, 3))),
            f"gtFine/train/{name}_gtFine_instanceIds.png": png(ids),
            f"gtFine/train/{name}_gtFine_polygons.json": {
                "objects": [
                    {"label": "car", "polygon": [[1, 0], [2, 0], [2, 1]]},
                    {"label": "sky", "polygon": [[0, 0], [2, 2], [2, 1]]},
                ]
            },
        },
    )
    clear = read(f"{city}?folder=leftImg8bit", label="masks", shapes="masks")
    foggy = read(f"{city}?folder=leftImg8bit_foggy", label="masks", shapes="masks")
    assert index(clear, 0, CITYSCAPES) == index(foggy, 0, CITYSCAPES) == expected
    assert foggy.rows.take(np.array([0]))[0][0, 0] == 150
    names, boxes = boxes_of(read(f"{city}?folder=leftImg8bit_foggy", label="boxes", shapes="boxes").labels[0])
    assert names == ["car"] and boxes.tolist() == [[1, 0, 2, 1]]

    gta = put(tmp_path / "gta", **{"images/00001.png": photo(), "labels/00001.png": png(ids)})
    assert index(read(f"{gta}?legend=cityscapes", label="masks", shapes="masks"), 0, CITYSCAPES) == expected
    synthia = {"RGB/0000000.png": photo(), "GT/LABELS/0000000.png": png([[3, 8, 0], [10, 4, 22]])}
    domain = read(put(tmp_path / "synthia", **synthia), label="masks", shapes="masks")
    assert index(domain, 0, CITYSCAPES) == expected


def test_boxes_of_coco_voc_and_plain_json(tmp_path):
    images = {"images/1.jpg": photo(size=(40, 60)), "images/2.jpg": photo(3, size=(40, 60))}
    expected = [(["cell", "cell"], [[10, 5, 30, 25], [0, 0, 4, 6]]), ([], [])]
    coco = {
        "images": [{"id": 7, "file_name": "1.jpg"}, {"id": 8, "file_name": "2.jpg"}],
        "categories": [{"id": 3, "name": "cell"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [10, 5, 20, 20]},
            {"image_id": 7, "category_id": 3, "bbox": [-2, -1, 6, 7]},
            {"image_id": 8, "category_id": 3, "bbox": [1, 1, 2, 2], "iscrowd": 1},
        ],
    }
    plain = {"1": {"boxes": [["cell", 10, 5, 30, 25], ["cell", -2, -1, 4, 6]], "split": "train"}, "2": {"boxes": []}}
    corners = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
    item = f"<object><name>cell</name><bndbox>{corners}</bndbox></object>"
    voc = f"<annotation><filename>1.jpg</filename>{item.format(11, 6, 30, 25)}{item.format(1, 1, 4, 6)}</annotation>"
    layouts = {
        "coco": {"annotations/instances.json": coco},
        "plain": {"annotations.json": plain},
        "voc": {"Annotations/1.xml": voc.encode(), "Annotations/2.xml": b"<annotation></annotation>"},
    }
    for kind, files in layouts.items():
        domain = read(put(tmp_path / kind, **images, **files), label="boxes", shapes="boxes")
        found = [boxes_of(label) for label in domain.labels]
        assert [(names, boxes.tolist()) for names, boxes in found] == expected, kind
    assert len(read(f"{tmp_path / 'plain'}?split=train", shapes="boxes")) == 1
    with pytest.raises(DataError, match="no field 'part'"):
        read(f"{tmp_path / 'plain'}?part=train", shapes="boxes")


def test_boxes_without_area_are_left_out_with_a_remark_and_broken_ones_refused(tmp_path):
    listed = {"1": {"boxes": [["a", 1, 1, 1, 2], ["a", 9, 0, 12, 2], ["a", 0, 0, 2, 2]]}}
    path = put(tmp_path, **{"images/1.png": photo(), "annotations.json": listed})
    domain = read(path, label="boxes", shapes="boxes")
    assert boxes_of(domain.labels[0])[1].tolist() == [[0, 0, 2, 2]]
    assert domain.notes == ("2 boxes without area inside their image are left out (the first in images/1.png)",)
    put(tmp_path, **{"annotations.json": {"1": {"boxes": [["a", 2, 2, 1, 1]]}}})
    with pytest.raises(DataError, match=r"images/1.png: a box is x1, y1, x2, y2 with x1 <= x2"):
        read(path, label="boxes", shapes="boxes")
    put(tmp_path, **{"annotations.json": {"2": {"boxes": []}}})
    with pytest.raises(DataError, match=r"images/1.png: no boxes are listed for it"):
        read(path, label="boxes", shapes="boxes")


def test_annotations_of_the_nearest_folder_count(tmp_path):
    files = {f"{d}/images/1.png": photo(k) for k, d in enumerate("ab")}
    files |= {f"{d}/annotations.json": {"1": {"boxes": [[d, 0, 0, 2, 2]]}} for d in "ab"}
    domain = read(put(tmp_path, **files), label="boxes", shapes="boxes")
    assert [boxes_of(label)[0] for label in domain.labels] == [["a"], ["b"]]


def test_retinas_and_blood_cells(shared_data):
    retinas = shared_data / "segmentation" / "retina_vessels_drive_chase.zip"
    drive = read(f"{retinas}?folder=drive/train", label="masks", shapes="masks")
    masks = from_text(drive.labels[0])
    assert len(drive) == 20 and masks.size == drive.rows.take(np.array([0]))[0].shape[:2]
    assert 0.05 < (masks.index(("background", "vessels")) == 1).mean() < 0.2
    cells = read(f"{shared_data / 'detection' / 'bccd_320.zip'}?split=train", label="boxes", shapes="boxes")
    assert len(cells) == 205 and len(cells.notes) == 1
    assert {name for label in cells.labels for name in boxes_of(label)[0]} == {"RBC", "WBC", "Platelets"}
