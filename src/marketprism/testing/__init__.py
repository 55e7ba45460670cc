"""Public check suites: hold a factor or a splitter of your own to the promises of ours."""

from marketprism.testing.factors import CheckError, check_factor, check_family
from marketprism.testing.splitters import check_splitter

__all__ = ["CheckError", "check_factor", "check_family", "check_splitter"]
