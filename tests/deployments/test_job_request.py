from __future__ import annotations

from deployments.job_request import ObjectRequest, SegmentRequest


def test_request_survives_being_stored() -> None:
    request = SegmentRequest(
        objects=(
            ObjectRequest(
                points=((1.5, 2.0), (3.0, 4.0)), labels=(1, 0), box=(0.0, 1.0, 9.0, 8.0), mask_key=None
            ),
            ObjectRequest(points=(), labels=(), box=None, mask_key="a" * 32 + "/given-1.png"),
        ),
        outputs=("cropped", "masks"),
        dilate_px=12,
        feather_px=None,
        format="webp",
    )
    assert SegmentRequest.from_json(request.to_json()) == request


def test_mask_is_added_to_its_object_alone() -> None:
    plain = ObjectRequest(points=((1.0, 1.0),), labels=(1,), box=None, mask_key=None)
    request = SegmentRequest((plain, plain), ("masks",), None, None, "png").with_mask(1, "key")
    assert [item.mask_key for item in request.objects] == [None, "key"]
    assert request.objects[0] == plain
