package bpf

// byEvents reports whether programs of the type run when something happens, and not
// by BPF_PROG_RUN.
func (row *programType) byEvents() bool { return row.trigger != nil }
