"""Members of plugins keep to the laws of their families, as built-in ones do."""

import pytest
from family_laws import LAWS
from plugins import written

from impray.spec.plugins import joined
from impray.spec.plugins.loading import from_file


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ["my_measures", "my_rules", "my_data", "my_nets", "my_figures"])
def test_the_plugins_of_the_docs_keep_to_the_laws(tmp_path, name, law):
    new = from_file(written.of_docs(tmp_path)[name])
    joined.join(new)
    assert new.members
    for family, tag, member in new.members:
        law(family, tag, member)
