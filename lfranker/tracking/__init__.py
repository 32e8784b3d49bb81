"""All that is known about MLflow; no other module but `served` imports it.

Tags (`TAG + name`): on a child `powerset` (the trainings it belongs with; `rank` selects by it),
`losses`, `repeat`, `training` and `scoring` (fingerprints of weights and of scores), `outcome`,
`metrics` (which versions of them made the scores), `safeguards` and `superseded` of diverged ones;
on a baseline `baseline` instead of `losses`; on a parent `role`, `powerset`, `scans`.
"""
