# @{title}: settings of run.tcl.
set part @{part}
set top @{top}
set period @{period}
set parameters {
@{parameters}
}
# In the order of compilation: packages first.
set files {
@{files}
}
