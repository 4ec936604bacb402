"""Recommenders: data sets, backbones, the matching head, joint training with HEIN, the release artefact."""
