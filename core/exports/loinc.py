"""LOINC codes of what is exported: the one table of them.

The members without a method of the panel 24318-8, as listed at https://loinc.org/24318-8 (2.78) and
in HL7's mCODE value set of the complete blood count. The better known 770-8, 736-9, 5905-5, 713-8,
706-2, 751-8 and so on mean "by Automated count": the analyser's flow count, not a smear. Codes are
© Regenstrief Institute, free under https://loinc.org/license.
"""

from typing import NamedTuple


class Code(NamedTuple):
    """A code and its long common name."""

    code: str
    display: str


PANEL = Code("24318-8", "Manual Differential panel - Blood")

PER_HUNDRED: dict[str, Code] = {
    "neutrophil": Code("26511-6", "Neutrophils/100 leukocytes in Blood"),
    "lymphocyte": Code("26478-8", "Lymphocytes/100 leukocytes in Blood"),
    "monocyte": Code("26485-3", "Monocytes/100 leukocytes in Blood"),
    "eosinophil": Code("26450-7", "Eosinophils/100 leukocytes in Blood"),
    "basophil": Code("30180-4", "Basophils/100 leukocytes in Blood"),
    "immature_granulocyte": Code("38518-7", "Immature granulocytes/100 leukocytes in Blood"),
    "blast": Code("26446-5", "Blasts/100 leukocytes in Blood"),
    "erythroblast": Code("19048-8", "Nucleated erythrocytes/100 leukocytes [Ratio] in Blood"),
    "smudge_cell": Code("34992-8", "Smudge cells/100 leukocytes in Blood"),
}
"""By cell type: per 100 leukocytes."""

ABSOLUTE: dict[str, Code] = {
    "neutrophil": Code("26499-4", "Neutrophils [#/volume] in Blood"),
    "lymphocyte": Code("26474-7", "Lymphocytes [#/volume] in Blood"),
    "monocyte": Code("26484-6", "Monocytes [#/volume] in Blood"),
    "eosinophil": Code("26449-9", "Eosinophils [#/volume] in Blood"),
    "basophil": Code("26444-0", "Basophils [#/volume] in Blood"),
    "immature_granulocyte": Code("51584-1", "Immature granulocytes [#/volume] in Blood"),
    "blast": Code("30376-8", "Blasts [#/volume] in Blood"),
}
"""By cell type: per volume."""

WHITE_CELLS = Code("26464-8", "Leukocytes [#/volume] in Blood")
CORRECTED_WHITE_CELLS = Code(
    "12227-5", "Leukocytes [#/volume] corrected for nucleated erythrocytes in Blood"
)
