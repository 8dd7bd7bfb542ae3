"""Models that answer at once and always the same, for tests of what stands around them."""

from dataclasses import replace
from types import SimpleNamespace

from core.domain.decision import DecisionThresholds
from core.domain.results import CropResult, StageResult
from core.domain.taxonomy import CELL_TYPES, STAGES
from core.imaging.duplicates import fingerprint
from tests.cases.made import analysis_of, red, white

DOUBTFUL = "The scale of this field is doubtful."
REFUSED = "This does not look like a stained blood smear."


class FakeAnalyzer:
    """Finds the same three cells in every picture; refuses those whose name says so."""

    def __init__(self):
        self.fingerprint = "of no models"
        self.versions = {"detector": "1.2.3", "wbc": "1.2.3", "all_stage": "1.2.3"}
        self.classifier = SimpleNamespace(model_sha256=64 * "0")
        self.compares = False
        """Give fields the fingerprints that duplicates are found by."""
        self.field_classifier = SimpleNamespace(thresholds=DecisionThresholds(0.6))

    def analyze(self, image, _profile=None):
        if "refused" in image.name:
            return replace(analysis_of(image), reject_reason=REFUSED)
        found = analysis_of(image, white(), red(), white("monocyte", 0.4, "uncertain", x=90))
        if self.compares:
            found = replace(found, fingerprint=fingerprint(image.pixels, found.cells))
        return replace(found, warnings=(DOUBTFUL,)) if "doubtful" in image.name else found

    def classify(self, image, _profile=None):
        if "broken" in image.name:
            raise RuntimeError("a defect")
        if "refused" in image.name:
            return CropResult(image.name, None, {}, 0.0, "out_of_scope", REFUSED, page=image.page)
        named = dict.fromkeys(CELL_TYPES, 0.0) | {"basophil": 0.9, "monocyte": 0.1}
        return CropResult(
            image.name, "basophil", named, 0.9, "classified", in_distribution=False, page=image.page
        )

    def stage(self, image):
        if "refused" in image.name:
            return StageResult(image.name, None, {}, 0.0, "out_of_scope", REFUSED, page=image.page)
        named = dict.fromkeys(STAGES, 0.0) | {"Early": 0.8, "Benign": 0.2}
        return StageResult(image.name, "Early", named, 0.8, "classified", page=image.page)
