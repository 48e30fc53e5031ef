"""Input of Slicer's Segment Editor."""

from __future__ import annotations

from typing import Any

import slicer

_TAG = "SegmentEditor"
"""Singleton tag of the parameter node that the Segment Editor module shows when it is entered."""


def set_segment_editor_input(segmentation: Any, image: Any, segment_id: str = "") -> Any:
    """Select what the Segment Editor edits when it is opened; returns its parameter node.

    Args:
        segmentation: vtkMRMLSegmentationNode.
        image: vtkMRMLScalarVolumeNode, the source volume.
        segment_id: of the selected segment; the first one if left out.
    """
    editor = slicer.mrmlScene.GetSingletonNode(_TAG, "vtkMRMLSegmentEditorNode")
    if editor is None:
        editor = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        editor.UnRegister(None)
        editor.SetSingletonTag(_TAG)
        editor = slicer.mrmlScene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(segmentation)
    editor.SetAndObserveSourceVolumeNode(image)
    segments = segmentation.GetSegmentation()
    if segments.GetNumberOfSegments():
        editor.SetSelectedSegmentID(segment_id or segments.GetNthSegmentID(0))
    return editor
