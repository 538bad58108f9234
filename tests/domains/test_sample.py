import numpy as np

from acclimate.domains.sample import FACES, font_digits, handwritten_digits, mnist_digits, toy_shift


def pixels(domain):
    return np.stack(domain.rows.take(np.arange(len(domain))))


def test_font_digits_are_a_function_of_the_seed():
    one, again, other = font_digits(60, seed=0), font_digits(60, seed=0), font_digits(60, seed=1)
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert one.labels.tolist() == [str(i % 10) for i in range(60)]
    assert pixels(one).shape == (60, 28, 28)
    assert len(set(one.ids)) == 60


def test_every_face_draws_ten_different_digits(monkeypatch):
    from acclimate.domains import sample

    for face in FACES:
        monkeypatch.setattr(sample, "FACES", (face,))
        drawn = pixels(font_digits(10))
        ink = (drawn > 128).sum(axis=(1, 2))
        assert ink.min() > 15, face
        assert len({image.tobytes() for image in drawn}) == 10
        border = np.concatenate([drawn[:, 0], drawn[:, -1], drawn[:, :, 0], drawn[:, :, -1]], axis=1)
        assert (border > 200).sum() == 0, f"{face} is cut"


def shrunk(domain):
    return pixels(domain).reshape(len(domain), 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(domain), -1) / 255


def test_between_fonts_and_handwriting_is_a_real_gap():
    from sklearn.svm import SVC

    fonts, unseen, mnist = font_digits(1000), font_digits(500, seed=1), mnist_digits()
    model = SVC(C=10).fit(shrunk(fonts), fonts.labels)
    assert model.score(shrunk(unseen), unseen.labels) > 0.85
    assert 0.45 < model.score(shrunk(mnist), mnist.labels) < 0.75


def test_mnist_sample():
    mnist = mnist_digits()
    assert len(mnist) == 5000
    assert np.unique(mnist.labels, return_counts=True)[1].tolist() == [500] * 10
    assert pixels(mnist).max() == 255


def test_handwritten():
    digits = handwritten_digits()
    assert len(digits) == 1797
    assert pixels(digits).shape == (1797, 8, 8)
    assert pixels(digits).max() == 255
    assert digits.labels[:3].tolist() == ["0", "1", "2"]


def test_toy_shift_breaks_the_source_model_and_can_be_mended():
    from sklearn.linear_model import LogisticRegression

    for seed in range(3):
        source, target, labels = toy_shift(400, seed)
        assert target.labels is None
        assert len(labels) == len(target) == 400
        x, t = (domain.rows.take(np.arange(400)) for domain in (source, target))
        model = LogisticRegression().fit(x, source.labels)
        assert model.score(x, source.labels) > 0.98
        assert model.score(t, labels) < 0.65
        assert LogisticRegression().fit(x[:, :1], source.labels).score(t[:, :1], labels) > 0.97
