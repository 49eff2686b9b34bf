package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Flags of BPF_PROG_RUN.
const (
	FlagOnCPU            = 1 // BPF_F_TEST_RUN_ON_CPU
	FlagLiveFrames       = 2 // BPF_F_TEST_XDP_LIVE_FRAMES
	FlagChecksumComplete = 4 // BPF_F_TEST_SKB_CHECKSUM_COMPLETE
)

// RawRun is a call of BPF_PROG_RUN with every attribute that it has. The zero value
// passes nothing and asks for no output.
type RawRun struct {
	// Data and Context are data_in and ctx_in. A program of type syscall writes to a
	// copy of Context.
	Data, Context []byte
	// DataOut and ContextOut are the sizes of the buffers for data_out and ctx_out, in
	// bytes; 0 passes none.
	DataOut, ContextOut int
	// Repeat is how often the kernel runs the program in a call, 0 means once. It
	// does so on one packet: what a run leaves is what the next one gets.
	Repeat uint32
	// Flags are those above, CPU the processor for FlagOnCPU, BatchSize the packets
	// at once for FlagLiveFrames, 0 for the kernel's choice.
	Flags, CPU, BatchSize uint32
	// Profile counts cycles, instructions and misses where the machine can.
	Profile bool
}

// RawResult is what a call gave.
type RawResult struct {
	Ret uint32
	// Duration is the mean run time in nanoseconds.
	Duration uint32
	// Data and Context are the outputs, cut off at the size of their buffers.
	Data, Context []byte
	// Printed is what the program printed with bpf_printk, by line. PrintError says
	// why it could not be read, nil otherwise.
	Printed    []string
	PrintError error
	// Counters are there when a profile was asked for.
	Counters []Counter
}

// Counter is an event of the processor, counted over all runs of a call.
type Counter struct {
	Name string
	// PerRun is the mean over the runs.
	PerRun float64
	// Err says why the event cannot be counted here, nil where PerRun is valid.
	Err error
}

// ShortBufferError says that an output did not fit. The program has run, the result
// has the first bytes.
type ShortBufferError struct {
	// Output is "data_out" or "ctx_out", Have and Need are in bytes.
	Output     string
	Have, Need int
}

func (e *ShortBufferError) Error() string {
	flag := "--data-size-out"
	if e.Output == "ctx_out" {
		flag = "--ctx-size-out"
	}
	return fmt.Sprintf("the buffer for %s has %d bytes and the output %d, of which the first %d are there (ENOSPC): give %s %d",
		e.Output, e.Have, e.Need, e.Have, flag, e.Need)
}

// ErrChecksum is what FlagChecksumComplete finds.
var ErrChecksum = errors.New("the program changed bytes of the packet without updating the checksum over it, skb->csum (EBADMSG)")

// Run makes the call, on a thread with a network namespace of its own. Errors name
// the rule of the kernel that the run breaks; with a *ShortBufferError and with
// ErrChecksum there is a result as well.
func (l *Loaded) Run(r RawRun) (result *RawResult, err error) {
	if l.refused != nil {
		return nil, l.refused
	}
	if err := l.check(&r); err != nil {
		return nil, err
	}
	isolated := kernel.Isolated(0, func() error {
		result, err = l.call(&r)
		return nil
	})
	return result, errors.Join(err, isolated)
}

// check refuses what the kernel would take for something else.
func (l *Loaded) check(r *RawRun) error {
	switch {
	case r.Flags&FlagLiveFrames == 0 && r.BatchSize != 0:
		return errors.New("a batch size has a meaning with live frames only: set the flag live-frames as well, or leave it out")
	case r.Flags&FlagLiveFrames != 0 && r.DataOut+r.ContextOut > 0:
		return errors.New("live frames give no output: the packet goes where the verdict sends it; leave out data_out and ctx_out")
	case r.Flags&FlagOnCPU == 0 && r.CPU != 0:
		return errors.New("a processor needs the flag on-cpu")
	}
	return nil
}

// Doubt returns what a run will do that its caller hardly wants, "" for nothing.
func (l *Loaded) Doubt(r RawRun) string {
	if l.spec.Type == ebpf.XDP && len(r.Context) > xdpOffDataEnd+4 && binary.NativeEndian.Uint32(r.Context[xdpOffDataEnd:]) == 0 {
		return fmt.Sprintf("data_end in ctx_in is 0, which means that the program sees no byte of the packet: set it to %d", len(r.Data))
	}
	return ""
}

func (l *Loaded) call(r *RawRun) (*RawResult, error) {
	run := kernel.NewRun(l.prog.FD())
	data, ctx := make([]byte, r.DataOut), make([]byte, r.ContextOut)
	in := slices.Clone(r.Context)
	if in == nil && r.ContextOut > 0 && l.spec.Type == ebpf.XDP {
		// An xdp_md of zeros would mean a packet of no bytes.
		in = make([]byte, xdpSize)
		binary.NativeEndian.PutUint32(in[xdpOffDataEnd:], uint32(len(r.Data)))
	}
	run.SetData(r.Data, data)
	run.SetContext(in, ctx)
	run.SetFlags(r.Flags, r.CPU)
	if r.Repeat > 1 { // some types refuse even a one
		run.SetRepeat(r.Repeat)
	}
	run.SetBatchSize(r.BatchSize)
	printed, printErr := kernel.OpenPrintk()
	counters := openCounters(r)
	errno := run.DoLong()
	counted := counters.read(max(r.Repeat, 1))
	result := &RawResult{Ret: run.Ret(), Duration: run.Duration(), PrintError: printErr, Counters: counted}
	if printed != nil {
		result.Printed, result.PrintError = printed.Read()
		result.PrintError = errors.Join(result.PrintError, printed.Close())
	}
	result.Data = data[:min(run.DataSize(), len(data))]
	switch {
	case l.row.answer == inPlace:
		result.Context = in
	default:
		result.Context = ctx[:min(run.ContextSize(), len(ctx))]
	}
	return l.answer(r, run, result, errno)
}

// answer turns what the kernel said into an error.
func (l *Loaded) answer(r *RawRun, run *kernel.Run, result *RawResult, errno syscall.Errno) (*RawResult, error) {
	switch errno {
	case 0:
		return result, nil
	case unix.ENOSPC:
		if n := run.DataSize(); r.DataOut > 0 && n > r.DataOut {
			return result, &ShortBufferError{"data_out", r.DataOut, n}
		}
		if n := run.ContextSize(); r.ContextOut > 0 && n > r.ContextOut {
			return result, &ShortBufferError{"ctx_out", r.ContextOut, n}
		}
	case unix.EBADMSG:
		if r.Flags&FlagChecksumComplete != 0 {
			return result, ErrChecksum
		}
	}
	return nil, fmt.Errorf("running program %q of type %s: BPF_PROG_RUN answered %d (%w)%s%s", l.name, l.row.kind, int(errno), errno, l.why(r, errno), kernel.Explain(errno))
}

// why returns "; reason" for an answer of the kernel that a rule of the type
// explains, else "".
func (l *Loaded) why(r *RawRun, errno syscall.Errno) string {
	for _, reason := range []string{l.whyFlags(r, errno), l.whyData(r), l.whyContext(r, errno), whyOther(errno)} {
		if reason != "" {
			return "; " + reason
		}
	}
	return ""
}

func (l *Loaded) whyFlags(r *RawRun, errno syscall.Errno) string {
	skb := l.row.contextSize == skbSize
	switch {
	case r.Flags&FlagOnCPU != 0 && l.spec.Type != ebpf.RawTracepoint:
		return "only raw tracepoints choose a processor"
	case r.Flags&FlagOnCPU != 0 && errno == unix.ENXIO:
		return fmt.Sprintf("processor %d is not there or offline", r.CPU)
	case r.Flags&FlagLiveFrames != 0 && l.spec.Type != ebpf.XDP:
		return "only XDP has live frames"
	case r.Flags&FlagChecksumComplete != 0 && !skb:
		return "checksum-complete is for programs that take an skb"
	case r.Repeat > 1 && l.row.noPacket:
		return "the type does not repeat: leave out --repeat"
	}
	return ""
}

func (l *Loaded) whyData(r *RawRun) string {
	switch {
	case l.row.noPacket && len(r.Data) > 0:
		return "the type takes no data_in, only a context"
	case !l.row.noPacket && len(r.Data) == 0:
		return "the type needs a packet: give data_in"
	case l.row.result == noResult && r.DataOut > 0:
		return "the type gives no data_out"
	case l.row.noPacket:
		return ""
	}
	limits, err := l.row.limits(l.spec)
	if err != nil {
		return ""
	}
	shape := l.row.shape(emptySpec(), l.spec, limits, nil)
	most := max(limits.Max, limits.Frags)
	if n, least := len(r.Data), shape.MinPacket(r.Data); n < least || n > most {
		return fmt.Sprintf("a packet of %d bytes, %s takes %d to %d here", n, l.row.kind, least, most)
	}
	return ""
}

// emptySpec is a collection of which nothing is known.
func emptySpec() *ebpf.CollectionSpec { return &ebpf.CollectionSpec{} }

func (l *Loaded) whyContext(r *RawRun, errno syscall.Errno) string {
	size := l.row.contextSize
	switch {
	case l.row.needsContext && len(r.Context) == 0:
		return "the type needs a context: give ctx_in"
	case l.row.answer == noAnswer && r.ContextOut > 0, l.row.answer == inPlace && r.ContextOut > 0:
		return "the type takes no ctx_out"
	case errno == unix.E2BIG && size > 0 && len(r.Context) > size:
		return fmt.Sprintf("ctx_in has %d bytes, the kernel's structure %d, and what is behind them has to be zero", len(r.Context), size)
	case l.row.special != nil || l.row.context == nil:
		return l.whySize(len(r.Context))
	}
	for _, reason := range []string{l.whyRange(r.Context), l.whyPlace(r), l.whyFields(r.Context)} {
		if reason != "" {
			return reason
		}
	}
	return ""
}

// whyFields names the first byte of a context that is no field that may be set.
func (l *Loaded) whyFields(ctx []byte) string {
	legal := make([]bool, len(ctx))
	var names []string
	for _, f := range l.row.context(0, nil) {
		names = append(names, f.Name)
		for i := f.Offset; i < min(f.Offset+f.Size, len(ctx)); i++ {
			legal[i] = true
		}
	}
	if l.spec.Type == ebpf.XDP {
		names = append([]string{"data", "data_end"}, names...)
		for i := range min(xdpOffMeta, len(ctx)) {
			legal[i] = true
		}
	}
	for i, b := range ctx {
		if b != 0 && !legal[i] {
			return fmt.Sprintf("byte %d of ctx_in is %#x and has to be zero; what may be set is %s", i, b, strings.Join(names, ", "))
		}
	}
	return ""
}

func whyOther(errno syscall.Errno) string {
	switch errno {
	case enotsupp, unix.EOPNOTSUPP:
		return "the kernel does not run programs of this type"
	case unix.EAFNOSUPPORT:
		return "the family in the context has to be AF_INET (2) or AF_INET6 (10)"
	}
	return ""
}
