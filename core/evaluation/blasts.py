"""How well blasts are told from other white cells: cell by cell, and as a patient's share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from core.domain.intervals import Estimate
from core.domain.taxonomy import LEUKOCYTES, Status
from core.evaluation.metrics import proportion
from core.evaluation.schema import BlastFigures, PatientShare

HEALTHY = tuple(key for key in LEUKOCYTES if key not in ("immature_granulocyte", "blast"))
"""Types whose name, given with certainty, hides a blast."""
LEAST_CELLS = 20
"""White cells of a patient whose share of blasts is compared."""
LEUKAEMIC = 0.20
"""Share of blasts from which leukaemia is acute (WHO classification of haematolymphoid tumours)."""


def blast_figures(
    truth: Sequence[str],
    predicted: Sequence[str],
    statuses: Sequence[Status],
    blast_probabilities: NDArray[np.float64],
    patients: Sequence[str],
) -> BlastFigures:
    """Return the figures over n cells; the last three arguments are n long like the first two.

    White cells are the leukocytes of the truth; smudge cells are counted apart. A patient's share
    is predicted as in use: of the leukocytes, uncertain cells by their most probable type.
    """
    true, named, status = np.array(truth), np.array(predicted), np.array(statuses)
    patient = np.array(patients)
    white, blast = np.isin(true, LEUKOCYTES), true == "blast"
    certain, possible = status == "classified", (named == "blast") & (status != "out_of_scope")
    smudge = true == "smudge_cell"

    def share(rows: NDArray[np.bool_], of: NDArray[np.bool_]) -> Estimate | None:
        return proportion(int((rows & of).sum()), int(of.sum()))

    shares = []
    for key in np.unique(patient):
        own = white & (patient == key)
        counted = (patient == key) & np.isin(named, LEUKOCYTES) & (status != "out_of_scope")
        if own.sum() >= LEAST_CELLS and counted.any():
            shares.append(
                PatientShare(
                    patient=str(key),
                    cells=int(own.sum()),
                    uncertain=int((own & (status == "uncertain")).sum()),
                    true=float(blast[own].mean()),
                    predicted=float(possible[counted].mean()),
                )
            )
    errors = [abs(own.predicted - own.true) for own in shares]
    hidden = certain & np.isin(named, HEALTHY)
    others = white & ~blast
    return BlastFigures(
        n=int(white.sum()),
        blasts=int(blast.sum()),
        auroc=float(roc_auc_score(blast[white], blast_probabilities[white])),
        possible=share(possible, blast),
        certain_healthy=share(hidden, blast),
        others_possible=share(possible, others),
        others_uncertain=share(status == "uncertain", others),
        smudge_excluded=share(~certain | (named == "smudge_cell"), smudge),
        patients=shares,
        median_share_error=float(np.median(errors)) if errors else None,
    )


def leukaemic_patients(patients: Sequence[PatientShare]) -> tuple[Estimate | None, Estimate | None]:
    """Return how many patients with `LEUKAEMIC` or more blasts are found, and false alarms.

    The first is a proportion of the patients who have that share, the second of all others; None
    where there is no such patient.
    """
    have = [own.true >= LEUKAEMIC for own in patients]
    called = [own.predicted >= LEUKAEMIC for own in patients]
    found = sum(a and b for a, b in zip(have, called, strict=True))
    return (
        proportion(found, sum(have)),
        proportion(sum(called) - found, len(have) - sum(have)),
    )
