package instrument

import (
	"math/bits"
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// Packets says how a program's packet is got at.
type Packets uint8

const (
	// XDP programs have an xdp_buff.
	XDP Packets = iota
	// SKB programs (sched_cls, sched_act) have an sk_buff.
	SKB
)

// A batch is a BPF_PROG_RUN call with many repetitions, each of which runs another
// input: a prologue in front of the entry program stores what the repetition before
// left and loads what the next one is to find. What both need is in the only value
// of one mmapable array, the batch map. All integers there are in the machine's
// byte order.
//
// The value begins with a header. Userspace sets Limit, and everything else to 0,
// before a call with Limit-Index+1 repetitions.
const (
	// BatchIndex is the offset of the u32 index of the next descriptor. It is behind
	// the last descriptor that was begun.
	BatchIndex = 0
	// BatchLimit is the offset of the u32 number of descriptors; the program sets it to
	// 0 when it stops because of what an input left (BatchDirty).
	BatchLimit = 4
	// BatchRunning is the offset of a u32 that is 1 while the outcome of the
	// descriptor before Index is still to be stored.
	BatchRunning = 8
	// BatchDirty is the offset of a u32 that is 1 when the program called something
	// whose effect on the packet no prologue can undo. A call that finds it stores
	// the outcome and runs nothing more; another call goes on at Index.
	BatchDirty = 12
	batchRet   = 16
	batchMoved = 20 // 1: bytes in front of the packet may have been written
	batchHome  = 24 // u64: where packets of this call begin
	batchAt    = 32 // u64: scratch
	batchWire  = 40 // u32: wire_len of the running descriptor
	// BatchHeader is how many bytes userspace clears before a call.
	BatchHeader = 64

	batchBuckets = 64 // 256 bytes: cover.Bucket of each count up to 255
	batchZeros   = batchBuckets + 256
	batchDescs   = batchZeros + MaxHeadroom
)

// A descriptor says where an input is and what it came to. These are offsets in
// it. Userspace writes those up to DescFlags, DescFault and, for skbs, DescWire and those from DescMark on;
// the program writes the others.
const (
	// DescIn and DescOut are u32 offsets from In and Out in the value.
	DescIn  = 0
	DescOut = 4
	// DescLen is the u32 length of the packet.
	DescLen = 8
	// DescMeta is the u16 length of the metadata.
	DescMeta = 12
	// DescFlags is a u16 of DescEnds and DescBegins.
	DescFlags = 14
	// DescRet, DescOutLen and DescFailed are u32: the return value, the length of
	// metadata and packet, and 1 when the outcome was not stored, either because it is
	// too long or because a helper of the prologue failed.
	DescRet    = 16
	DescOutLen = 20
	DescFailed = 24
	// DescFault, Step.Fault, is where the length of the output goes later.
	DescFault = DescOutLen // u32
	// Fields of the context. DescWire, wire_len, is where the return value goes later.
	DescWire     = DescRet // u32
	DescMark     = 28      // u32
	DescTstamp   = 32      // u64
	DescPriority = 40      // u32
	DescCB       = 44      // 5 u32
	// DescSize is the size of a descriptor.
	DescSize  = 64
	descShift = 6
)

const (
	// DescEnds says that the input ends with this step, so that loop counts end there,
	// DescBegins that it begins with it.
	DescEnds   = 1
	DescBegins = 2
)

const (
	// batchSlack is how much longer than its input an output may be: more than the
	// headroom of both kinds of packets together with some options at the end.
	batchSlack = 512
	// MaxHeadroom is the most headroom that an XDP packet may have.
	MaxHeadroom = 256
	metaRoom    = 256 // at least the largest metadata, a multiple of line
	line        = 64
)

// BatchLayout says how the value of the batch map is used behind its header and
// descriptors: inputs, each with room for metadata in front of the packet, at
// multiples of Stride from In; outputs at any multiples of 8 from Out.
type BatchLayout struct {
	Packets Packets
	// Headroom is how far an XDP program can move the head of its packet down, at most
	// MaxHeadroom. Metadata takes its place where MetaInHead is set, else it moves the packet up.
	Headroom   int
	MetaInHead bool
	// MetaAlone says that packets with metadata are not run in batches.
	MetaAlone bool
	// Slots is the number of descriptors, and of inputs: a power of two.
	Slots int
	// Room is the size of an input's packet in the value, Largest the length of the
	// largest that may be in a descriptor.
	Room, Largest int
	In, Stride    int
	Out, OutSize  int
	// Size is the size of the value.
	Size int
}

// NewBatchLayout lays out a batch of slots (a power of two) packets of up to room
// bytes, of which those that with their metadata have up to largest bytes are run in
// batches.
func NewBatchLayout(packets Packets, slots, room, largest int) *BatchLayout {
	l := &BatchLayout{Packets: packets, Slots: slots, Room: room, Largest: min(room+metaRoom, largest)}
	// An odd number of cache lines: at distances of whole pages inputs would compete
	// for a few lines of the cache.
	l.Stride = ((l.chanceAt()+ChanceRoom+line-1)/line | 1) * line
	l.In = (batchDescs + slots*DescSize + line - 1) / line * line
	l.Out = l.In + l.inMask() + 1 + l.Stride
	l.OutSize = ceilPower(slots * l.OutRoom(l.Largest, metaRoom))
	l.Size = l.Out + l.OutSize + l.longest()
	return l
}

// chanceAt is where in an input its bytes for virtual helpers are.
func (l *BatchLayout) chanceAt() int { return (metaRoom + l.Room + line - 1) / line * line }

func ceilPower(n int) int { return 1 << bits.Len(uint(n-1)) }

func (l *BatchLayout) inMask() int { return ceilPower(l.Slots*l.Stride) - 1 }

// longest is the length of the longest output that is stored.
func (l *BatchLayout) longest() int { return l.OutRoom(l.Largest, metaRoom) }

// Desc returns the offset of a descriptor.
func (l *BatchLayout) Desc(i int) int { return batchDescs + i*DescSize }

// Packet and Meta return the offsets of the buffers of an input.
func (l *BatchLayout) Packet(i int) int { return l.Meta(i) + metaRoom }

// Meta returns the offset of an input's metadata.
func (l *BatchLayout) Meta(i int) int { return l.In + i*l.Stride }

// Chance returns the offset of an input's ChanceRoom bytes for virtual helpers, of
// which those that it has not are zero.
func (l *BatchLayout) Chance(i int) int { return l.Meta(i) + l.chanceAt() }

// OutRoom returns how much room an input's output takes at most.
func (l *BatchLayout) OutRoom(packet, meta int) int {
	return (packet + meta + batchSlack + line - 1) / line * line
}

// Init writes the constants that the program reads.
func (l *BatchLayout) Init(value []byte) {
	for i := range 256 {
		value[batchBuckets+i] = cover.Bucket(uint32(i))
	}
}

// CoverLayout is Layout of the Cover variant as it runs in batches, with scores.
func (p *Plan) CoverLayout(rung, scored Rung, l *BatchLayout) Layout {
	return p.assignBatch(rung, scored, l).layout
}

// RewriteBatch returns the instructions of each program as they run in batches,
// where mapName is the coverage map and batchName the batch map, and of the
// entry program once more with the prologue. Prog arrays must hold programs
// without: with it, a tail call would load another packet in mid-input. With scored,
// which says how many, the programs score comparisons; None means none.
func (p *Plan) RewriteBatch(rung, scored Rung, l *BatchLayout, mapName, batchName string) (entry asm.Instructions, all []asm.Instructions, err error) {
	a := p.assignBatch(rung, scored, l)
	inserted := make(map[*function][]insertion, len(p.funcs))
	for _, fn := range p.funcs {
		inserted[fn] = append(marks(fn.Func, l.Packets, batchName), p.insertions(fn, a, mapName)...)
		if l.Packets == SKB {
			inserted[fn] = append(inserted[fn], wireLens(fn, batchName)...)
		}
		inserted[fn] = append(inserted[fn], a.scoreInsertions(p, fn, fn.emitter(a, mapName), batchName)...)
	}
	build := func(prog *program, first []insertion) (asm.Instructions, error) {
		return prog.assemble(func(j int) []insertion {
			list := inserted[prog.same[j]]
			if j > 0 && prog.funcs[j].Name != Callback(prog.Instructions) {
				return list
			}
			list = append(list[:len(list):len(list)], returns(prog.funcs[j], batchName)...)
			if j > 0 {
				return list
			}
			return append(first[:len(first):len(first)], list...)
		})
	}
	b := batchCode{coder: newCoder(), l: l, a: a, mapName: mapName, batchName: batchName, chance: p.chance.Map, fault: p.faults}
	prologue := []insertion{{place: onEntry, code: b.prologue()}}
	if entry, err = build(&p.programs[0], prologue); err != nil {
		return nil, nil, err
	}
	for i := range p.programs {
		code, err := build(&p.programs[i], nil)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, code)
	}
	return entry, all, nil
}

// Callback returns the name of the function that bpf_throw calls and that then returns
// for the program, "" for none: a program without returns the argument of bpf_throw.
func Callback(program asm.Instructions) string {
	if len(program) == 0 {
		return ""
	}
	fn := btf.FuncMetadata(&program[0])
	if fn == nil {
		return ""
	}
	for _, tag := range fn.Tags {
		if name, ok := strings.CutPrefix(tag, "exception_callback:"); ok {
			return name
		}
	}
	return ""
}

// returns stores what a program returns, at each exit of a function that ends it.
func returns(f *cfg.Func, batchName string) []insertion {
	var list []insertion
	for i := range f.Insns {
		if cfg.IsExit(&f.Insns[i]) {
			list = append(list, insertion{place: before, insn: i, code: asm.Instructions{
				address(asm.R1, batchName, batchRet), asm.StoreMem(asm.R1, 0, asm.R0, asm.Word),
			}})
		}
	}
	return list
}
