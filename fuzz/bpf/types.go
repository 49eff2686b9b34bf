package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	events "github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/trigger"
)

// programType is what BPF_PROG_RUN accepts from, and what it may get back from,
// the programs of one type.
type programType struct {
	// kind is the name as bpftool prints it.
	kind string
	// noPacket says that the type takes no data_in.
	noPacket bool
	// result is what data_out holds.
	result result
	// hidden is how many bytes at the packet's start the program does not see.
	hidden int
	// headerless says that data_in begins behind the Ethernet header for such a
	// context; nil means never.
	headerless func(ctx []byte) bool
	// minIPv4 and minIPv6 are the smallest packets by ethertype; 0 for no difference.
	minIPv4, minIPv6 int
	// meta says that metadata may precede the packet, frags that packets may be
	// larger than the linear part where the program says it can take it.
	meta, frags bool
	// flags are those of BPF_PROG_RUN that a step may have.
	flags uint32

	// contextSize is the size of the context structure in bytes.
	contextSize int
	// context lists fields that may be set, given the largest packet and the
	// machine that the program runs in.
	context func(largest int, n *machine) []corpus.Field
	// output lists fields of the context after a run.
	output []corpus.Field
	// needsContext says that BPF_PROG_RUN has to be given a context.
	needsContext bool
	// answer is how the context comes back.
	answer answer
	// fix makes a context legal that consists of legal fields, for this packet and
	// metadata of this length.
	fix func(ctx, packet []byte, meta int)

	verdicts []corpus.Verdict
	closed   bool
	// special completes the row for one program, whose context depends on it.
	special func(row *programType, prog *ebpf.ProgramSpec) error
	// sockets says that maps of sockets are filled, network that interfaces are
	// added to the namespace.
	sockets, network bool
	// open readies a loaded program to be run; nil where nothing is to be done.
	open func(t *Target, inst *instance) error
	// args is not nil where the context is one of arguments.
	args *arguments
	// cause makes the event happen for types that BPF_PROG_RUN does not run; gated
	// says that only the events of the own thread count.
	cause *cause
	gated bool
	// note says what is not known of the context, "" where all is.
	note string
	// tracing says that the kernel has to let programs watch its functions.
	tracing bool
	// trigger is how the program is run where BPF_PROG_RUN does not, nil where it does.
	trigger *events.Kind
}

// result is what data_out holds.
type result uint8

const (
	packetResult result = iota
	noResult            // the type rejects data_out
	keysResult          // struct bpf_flow_keys
)

// answer is how a context comes back.
type answer uint8

const (
	copiedAnswer answer = iota // ctx_out is filled
	noAnswer                   // the type rejects ctx_out
	inPlace                    // in ctx_in
)

// rowKey tells rows apart. Attach is 0 where it makes no difference.
type rowKey struct {
	typ    ebpf.ProgramType
	attach ebpf.AttachType
}

// programTypes has a row for each program type that can be run.
func programTypes() map[rowKey]programType {
	rows := map[rowKey]programType{{typ: ebpf.XDP}: xdpRow()}
	for _, family := range []map[rowKey]programType{skbRows(), {
		{typ: ebpf.FlowDissector}: flowRow(),
		{typ: ebpf.SkLookup}:      lookupRow(),
		{typ: ebpf.Netfilter}:     netfilterRow(),
		{typ: ebpf.RawTracepoint}: rawTracepointRow(),
		{typ: ebpf.Syscall}:       syscallRow(),
		{typ: ebpf.StructOps}:     structOpsRow(),
	}, tracingRows()} {
		for key, row := range family {
			rows[key] = row
		}
	}
	return rows
}

// typeOf returns the row of prog's type, or an error that names the type, what the
// kernel does with it and what could be done.
func typeOf(prog *ebpf.ProgramSpec) (programType, error) {
	rows := programTypes()
	for _, key := range []rowKey{{prog.Type, prog.AttachType}, {typ: prog.Type}} {
		if row, ok := rows[key]; ok {
			return row, nil
		}
	}
	if row, err := triggerType(prog); err == nil {
		return row, nil
	}
	return programType{}, refuse(prog)
}

// rowOf returns the row for prog alone: the kernel's BTF and the program's own say
// what its context is where the type leaves that open.
func rowOf(prog *ebpf.ProgramSpec) (programType, error) {
	row, err := typeOf(prog)
	if err != nil || row.special == nil {
		return row, err
	}
	if err := row.special(&row, prog); err != nil {
		return row, fmt.Errorf("program %q of type %s: %w", prog.Name, row.kind, err)
	}
	return row, nil
}

// noFix is for contexts whose fields are independent of each other and the packet.
func noFix([]byte, []byte, int) {}
