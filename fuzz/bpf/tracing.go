package bpf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// tracingRows are the programs that watch the kernel by its own BTF.
func tracingRows() map[rowKey]programType {
	self := programType{
		contextSize: 0, context: func(int, *machine) []corpus.Field { return nil }, fix: noFix,
		noPacket: true, result: noResult, answer: noAnswer, tracing: true, gated: true,
	}
	row := func(kind string, functions ...string) programType {
		r := self
		r.kind = kind
		r.special = func(_ *programType, prog *ebpf.ProgramSpec) error { return checkSelfTest(prog, functions) }
		r.open = openTracing
		return r
	}
	return map[rowKey]programType{
		{ebpf.Tracing, ebpf.AttachTraceFEntry}:  row("fentry", fentryTests()...),
		{ebpf.Tracing, ebpf.AttachTraceFExit}:   row("fexit", fentryTests()...),
		{ebpf.Tracing, ebpf.AttachModifyReturn}: row("fmod_ret", "bpf_modify_return_test", "bpf_modify_return_test2"),
		{ebpf.Tracing, ebpf.AttachTraceRawTp}:   btfTracepointRow(),
	}
}

// fentryTests are the functions that the kernel calls when BPF_PROG_RUN is asked to
// run a fentry or fexit program.
func fentryTests() []string {
	tests := make([]string, 0, 10)
	for i := 1; i <= cap(tests); i++ {
		tests = append(tests, fmt.Sprintf("bpf_fentry_test%d", i))
	}
	return tests
}

// checkSelfTest refuses programs that BPF_PROG_RUN would not enter. It takes no
// input for the others: the kernel calls its functions with numbers of its own, and
// answers with the result of its test.
func checkSelfTest(prog *ebpf.ProgramSpec, functions []string) error {
	if slices.Contains(functions, prog.AttachTo) {
		return nil
	}
	return fmt.Errorf("it watches %q, and BPF_PROG_RUN calls the kernel's self-test functions only (%s): move what is to be tested to a function, and call it from a program that watches one of these",
		prog.AttachTo, strings.Join(functions, ", "))
}

// openTracing attaches the program, behind its gate, to what it watches. It stays
// attached until the instance is closed.
func openTracing(t *Target, inst *instance) error {
	if err := inst.mapGate(); err != nil {
		return err
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: inst.coll.Programs[t.program]})
	if err != nil {
		return fmt.Errorf("attaching program %q: %w", t.program, err)
	}
	inst.also(l.Close)
	return nil
}
