"""What tbparse reads, without TensorFlow."""

import sys

from tbparse import SummaryReader

reader = SummaryReader(sys.argv[1], extra_columns={"dir_name"})
tensors = reader.tensors
good = tensors[tensors["dir_name"].str.startswith("good")]
for tag, count in good["tag"].value_counts().items():
    print(count, tag)
print(len(reader.text), "texts")
