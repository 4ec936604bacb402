"""The Feast repository: its definitions, its stores, and the one writer of vectors and knowledge.

Nothing is imported here: Feast takes seconds to import. Use `feature_repo.writer.FeatureWriter`,
`feature_repo.reader.FeatureReader`, `feature_repo.offline.OfflineBuffer`, `feature_repo.keys.Keys`,
`feature_repo.repo.apply` and the records of `feature_repo.records`.
"""
