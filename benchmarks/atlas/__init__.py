"""The atlas: many real domain pairs, every method on each, and what a choice without target labels would cost.

python -m benchmarks.atlas train [--part dev|test] [--quick] [--seeds 0,1,2]
    trains what is not trained yet and keeps predictions; no target label is used
python -m benchmarks.atlas open --part dev|test
    opens the labels: results/atlas_PART.jsonl, a line for each arm, and results/atlas_rules_PART.json
"""
