"""Encode every image, or every row of anything else, into its vector.

- `job`: what the planner knows. `encoder_choice`: which encoder the options name;
  `row_source`: what is encoded; `line_file`: lines of text as rows. All light.
- `work`: the blocks of vectors. `row_readers`: reads rows. `keras_encoder`,
  `onnx_encoder`, `function_encoder`: what makes vectors of them. `number_types`: rows in
  the type that a model takes. In the worker alone.
"""
