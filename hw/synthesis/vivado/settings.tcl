# @{title}: the engine and its files, for @{script}. SHA-256 of the RTL: @{digest}
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
