package instrument

import "github.com/cilium/ebpf/asm"

// Registers of the prologue: in front of a main function all but r1, the context,
// are free.
const (
	regCtx  = asm.R6
	regMem  = asm.R7 // the batch map's value
	regDesc = asm.R8 // the descriptor, at an offset of batchDescs
	regTmp  = asm.R9
)

// Offsets in struct xdp_md and struct __sk_buff.
const (
	xdpData, xdpDataEnd, xdpDataMeta = 0, 4, 8

	skbLen, skbMark, skbQueue, skbPriority, skbTCIndex, skbCB, skbClassid, skbTstamp = 0, 8, 12, 32, 44, 48, 72, 152
)

const (
	// ethHeader is the shortest packet that bpf_xdp_adjust_tail leaves.
	ethHeader = 14
	// invalidateHash is BPF_F_INVALIDATE_HASH.
	invalidateHash = 2
)

// batchCode writes the prologue.
type batchCode struct {
	*coder
	l                  *BatchLayout
	a                  *assignment
	mapName, batchName string
	chance             string // the map of virtual helpers, "" where there are none
	fault              string // the map of faults, likewise
}

func (b *batchCode) prologue() asm.Instructions {
	b.add(asm.Mov.Reg(regCtx, asm.R1), address(regMem, b.batchName, 0))
	b.get(regDesc, BatchIndex)
	b.get(asm.R2, BatchRunning)
	b.when(asm.R2, asm.JEq, 0, "next")
	b.drain()
	b.label("next")
	b.get(regDesc, BatchIndex)
	b.get(asm.R2, BatchLimit)
	b.whenReg(regDesc, asm.JGE, asm.R2, "exit")
	b.add(asm.Mov.Reg(asm.R2, regDesc), asm.Add.Imm(asm.R2, 1))
	b.put(BatchIndex, asm.R2)
	b.findDesc()
	if b.l.Packets == XDP {
		b.fillXDP()
	} else {
		b.fillSKB()
	}
	b.loadChance()
	b.loadFault()
	b.add(asm.StoreImm(regMem, batchRet, 0, asm.Word), asm.StoreImm(regMem, BatchRunning, 1, asm.Word), asm.Mov.Reg(asm.R1, regCtx))
	b.jump("begin")
	b.label("fail")
	b.add(asm.StoreImm(regDesc, batchDescs+DescFailed, 1, asm.Word))
	b.label("exit")
	b.add(asm.Mov.Imm(asm.R0, 0), asm.Return())
	b.label("begin")
	return b.finish()
}

// get loads a u32 of the header.
func (b *batchCode) get(r asm.Register, off int16) { b.add(asm.LoadMem(r, regMem, off, asm.Word)) }

// put stores a u32 of the header.
func (b *batchCode) put(off int16, r asm.Register) { b.add(asm.StoreMem(regMem, off, r, asm.Word)) }

// load loads from the descriptor.
func (b *batchCode) load(r asm.Register, off int16, size asm.Size) {
	b.add(asm.LoadMem(r, regDesc, batchDescs+off, size))
}

// findDesc turns an index into the address of its descriptor.
func (b *batchCode) findDesc() {
	b.add(asm.And.Imm(regDesc, int32(b.l.Slots-1)), asm.LSh.Imm(regDesc, descShift), asm.Add.Reg(regDesc, regMem))
}

// buffer makes r the address of an input or output of the descriptor.
func (b *batchCode) buffer(r asm.Register, field int16, mask, base int) {
	b.load(r, field, asm.Word)
	b.add(asm.And.Imm(r, int32(mask)), asm.Add.Reg(r, regMem), asm.Add.Imm(r, int32(base)))
}

// call calls a helper with the context as its first argument.
func (b *batchCode) call(fn asm.BuiltinFunc) { b.add(asm.Mov.Reg(asm.R1, regCtx), fn.Call()) }

// must calls a helper and gives the input up when it fails.
func (b *batchCode) must(fn asm.BuiltinFunc) {
	b.call(fn)
	b.when(asm.R0, asm.JNE, 0, "fail")
}

// drain stores what the repetition before left.
func (b *batchCode) drain() {
	b.add(asm.StoreImm(regMem, BatchRunning, 0, asm.Word), asm.Add.Imm(regDesc, -1))
	b.findDesc()
	b.get(asm.R2, batchRet)
	b.add(asm.StoreMem(regDesc, batchDescs+DescRet, asm.R2, asm.Word))
	b.foldLoops()
	loadBytes := asm.FnSkbLoadBytes
	if b.l.Packets == XDP {
		loadBytes = asm.FnXdpLoadBytes
		b.uncoverMeta()
		b.xdpLen(asm.R4)
	} else {
		b.add(asm.LoadMem(asm.R4, regCtx, skbLen, asm.Word))
	}
	b.add(asm.StoreMem(regDesc, batchDescs+DescOutLen, asm.R4, asm.Word))
	b.load(asm.R5, DescLen, asm.Word)
	b.load(asm.R2, DescMeta, asm.Half)
	b.add(asm.Add.Reg(asm.R5, asm.R2), asm.Add.Imm(asm.R5, batchSlack))
	b.whenReg(asm.R4, asm.JGT, asm.R5, "lost")
	b.when(asm.R4, asm.JEq, 0, "lost")
	b.when(asm.R4, asm.JGT, int32(b.l.longest()), "lost")
	b.buffer(asm.R3, DescOut, b.l.OutSize-1, b.l.Out)
	b.add(asm.Mov.Imm(asm.R2, 0))
	b.call(loadBytes)
	b.when(asm.R0, asm.JEq, 0, "drained")
	b.label("lost")
	b.add(asm.StoreImm(regDesc, batchDescs+DescFailed, 1, asm.Word))
	b.label("drained")
	b.get(asm.R2, BatchDirty)
	b.when(asm.R2, asm.JEq, 0, "next")
	b.add(asm.StoreImm(regMem, BatchLimit, 0, asm.Word))
	b.jump("exit")
}

// foldLoops turns loop counters into bucket bits, where the input ends, and clears
// them.
func (b *batchCode) foldLoops() {
	layout := &b.a.layout
	if layout.Loops == 0 {
		return
	}
	b.load(asm.R2, DescFlags, asm.Half)
	b.add(asm.And.Imm(asm.R2, DescEnds))
	b.when(asm.R2, asm.JEq, 0, "folded")
	b.add(address(asm.R3, b.mapName, layout.Counters), address(asm.R0, b.mapName, layout.Probes))
	at := 0 // r3 is at this counter, r0 at its bucket
	for n := 0; n < layout.Loops; n += 2 {
		if n-at >= 4096 {
			b.add(asm.Add.Imm(asm.R3, int32(4*(n-at))), asm.Add.Imm(asm.R0, int32(n-at)))
			at = n
		}
		skip := b.fresh()
		b.add(asm.LoadMem(asm.R2, asm.R3, int16(4*(n-at)), asm.DWord))
		b.when(asm.R2, asm.JEq, 0, skip)
		for m := n; m < min(n+2, layout.Loops); m++ {
			b.foldLoop(m - at)
		}
		b.label(skip)
	}
	b.label("folded")
}

func (b *batchCode) foldLoop(n int) {
	fits := b.fresh()
	b.add(asm.LoadMem(asm.R4, asm.R3, int16(4*n), asm.Word))
	b.when(asm.R4, asm.JLE, 255, fits)
	b.add(asm.Mov.Imm(asm.R4, 255))
	b.label(fits)
	b.add(
		asm.Add.Reg(asm.R4, regMem),
		asm.LoadMem(asm.R4, asm.R4, batchBuckets, asm.Byte),
		asm.LoadMem(asm.R5, asm.R0, int16(n), asm.Byte),
		asm.Or.Reg(asm.R5, asm.R4),
		asm.StoreMem(asm.R0, int16(n), asm.R5, asm.Byte),
		asm.StoreImm(asm.R3, int16(4*n), 0, asm.Word),
	)
}

// xdpLen loads the distance from the packet's head to its end; it needs r3.
func (b *batchCode) xdpLen(r asm.Register) {
	b.add(
		asm.LoadMem(r, regCtx, xdpDataEnd, asm.Word),
		asm.LoadMem(asm.R3, regCtx, xdpData, asm.Word),
		asm.Sub.Reg(r, asm.R3),
	)
}

// uncoverMeta moves the head to where the metadata begins, since data_out begins
// there as well. Afterwards there is no metadata.
func (b *batchCode) uncoverMeta() {
	b.add(
		asm.LoadMem(asm.R2, regCtx, xdpDataMeta, asm.Word),
		asm.LoadMem(regTmp, regCtx, xdpData, asm.Word),
		asm.Sub.Reg(regTmp, asm.R2),
	)
	b.when(regTmp, asm.JEq, 0, "uncovered")
	b.add(asm.Mov.Reg(asm.R2, regTmp))
	b.call(asm.FnXdpAdjustMeta)
	b.add(asm.Mov.Imm(asm.R2, 0), asm.Sub.Reg(asm.R2, regTmp))
	b.call(asm.FnXdpAdjustHead)
	b.label("uncovered")
}

// fillXDP brings head and end to where they are in a call of its own, and stores
// metadata and packet.
func (b *batchCode) fillXDP() {
	b.goHome()
	b.length()
	b.load(asm.R2, DescMeta, asm.Half)
	b.when(asm.R2, asm.JNE, 0, "meta")
	b.xdpLen(asm.R4)
	b.add(asm.Mov.Reg(asm.R2, regTmp), asm.Sub.Reg(asm.R2, asm.R4))
	b.when(asm.R2, asm.JEq, 0, "sized")
	b.must(asm.FnXdpAdjustTail)
	b.label("sized")
	b.add(asm.Mov.Imm(asm.R2, 0))
	b.storePacket()
	b.jump("filled")
	b.label("meta")
	b.fillWithMeta()
	b.label("filled")
}

// storePacket stores the packet at the offset in r2.
func (b *batchCode) storePacket() {
	b.buffer(asm.R3, DescIn, b.l.inMask(), b.l.In+metaRoom)
	b.add(asm.Mov.Reg(asm.R4, regTmp))
	b.must(asm.FnXdpStoreBytes)
}

// fillWithMeta stores metadata and packet in one piece, of which the head then
// moves behind the former.
func (b *batchCode) fillWithMeta() {
	if b.l.MetaInHead {
		b.add(asm.Mov.Imm(asm.R3, 0), asm.Sub.Reg(asm.R3, asm.R2), asm.Mov.Reg(asm.R2, asm.R3))
		b.must(asm.FnXdpAdjustHead)
	}
	b.load(asm.R2, DescMeta, asm.Half)
	b.xdpLen(asm.R4)
	b.add(asm.Add.Reg(asm.R2, regTmp), asm.Sub.Reg(asm.R2, asm.R4))
	b.must(asm.FnXdpAdjustTail)
	b.load(asm.R4, DescMeta, asm.Half)
	b.when(asm.R4, asm.JEq, 0, "fail")
	b.when(asm.R4, asm.JGT, metaRoom, "fail")
	b.buffer(asm.R3, DescIn, b.l.inMask(), b.l.In)
	b.add(asm.Mov.Imm(asm.R2, 0))
	b.must(asm.FnXdpStoreBytes)
	b.load(asm.R2, DescMeta, asm.Half)
	b.storePacket()
	b.load(regTmp, DescMeta, asm.Half)
	b.add(asm.Mov.Reg(asm.R2, regTmp))
	b.must(asm.FnXdpAdjustHead)
	b.add(asm.Mov.Imm(asm.R2, 0), asm.Sub.Reg(asm.R2, regTmp))
	b.must(asm.FnXdpAdjustMeta)
}

// goHome moves the head to where packets of this call begin, and clears what is in
// front of it where something may have been written.
func (b *batchCode) goHome() {
	// A pointer that is read back from memory is a number.
	b.add(
		asm.LoadMem(asm.R2, regCtx, xdpData, asm.Word), asm.StoreMem(regMem, batchAt, asm.R2, asm.DWord),
		asm.LoadMem(asm.R2, regMem, batchAt, asm.DWord), asm.LoadMem(asm.R3, regMem, batchHome, asm.DWord),
	)
	b.when(asm.R3, asm.JNE, 0, "known")
	b.add(asm.Mov.Reg(asm.R3, asm.R2), asm.StoreMem(regMem, batchHome, asm.R3, asm.DWord))
	b.label("known")
	b.add(asm.Sub.Reg(asm.R3, asm.R2), asm.Mov.Reg(regTmp, asm.R3))
	b.get(asm.R2, batchMoved)
	b.whenReg(asm.R2, asm.JNE, asm.R3, "moved") // both 0 mostly
	b.when(asm.R2, asm.JEq, 0, "home")
	headroom := int32(b.l.Headroom)
	b.label("moved")
	// The head must stay 14 bytes before the end.
	b.xdpLen(asm.R4)
	b.add(asm.Mov.Reg(asm.R2, regTmp), asm.Add.Imm(asm.R2, ethHeader), asm.Sub.Reg(asm.R2, asm.R4))
	b.when(asm.R2, asm.JSLE, 0, "long")
	b.must(asm.FnXdpAdjustTail)
	b.label("long")
	b.add(asm.Mov.Reg(asm.R2, regTmp), asm.Add.Imm(asm.R2, -headroom))
	b.must(asm.FnXdpAdjustHead)
	b.add(asm.Mov.Imm(asm.R2, 0), asm.Mov.Reg(asm.R3, regMem), asm.Add.Imm(asm.R3, batchZeros), asm.Mov.Imm(asm.R4, headroom))
	b.must(asm.FnXdpStoreBytes)
	b.add(asm.Mov.Imm(asm.R2, headroom))
	b.must(asm.FnXdpAdjustHead)
	b.add(asm.StoreImm(regMem, batchMoved, 0, asm.Word))
	b.label("home")
}

// length leaves the packet's length in regTmp, and gives up inputs that are too long.
func (b *batchCode) length() {
	b.load(regTmp, DescLen, asm.Word)
	b.when(regTmp, asm.JEq, 0, "fail")
	b.when(regTmp, asm.JGT, int32(b.l.Largest), "fail")
}

// fillSKB sets the fields that programs write, and length and bytes.
func (b *batchCode) fillSKB() {
	b.length()
	b.add(asm.Mov.Imm(asm.R2, 0))
	for _, off := range [...]int16{skbQueue, skbTCIndex, skbClassid} {
		b.add(asm.StoreMem(regCtx, off, asm.R2, asm.Word))
	}
	for _, f := range [...][2]int16{
		{skbMark, DescMark},
		{skbPriority, DescPriority},
		{skbCB, DescCB},
		{skbCB + 4, DescCB + 4},
		{skbCB + 8, DescCB + 8},
		{skbCB + 12, DescCB + 12},
		{skbCB + 16, DescCB + 16},
	} {
		b.load(asm.R2, f[1], asm.Word)
		b.add(asm.StoreMem(regCtx, f[0], asm.R2, asm.Word))
	}
	b.load(asm.R2, DescWire, asm.Word)
	b.put(batchWire, asm.R2)
	b.load(asm.R2, DescTstamp, asm.DWord)
	b.add(asm.StoreMem(regCtx, skbTstamp, asm.R2, asm.DWord), asm.LoadMem(asm.R2, regCtx, skbLen, asm.Word))
	b.whenReg(asm.R2, asm.JEq, regTmp, "sized")
	b.add(asm.Mov.Reg(asm.R2, regTmp), asm.Mov.Imm(asm.R3, 0))
	b.must(asm.FnSkbChangeTail)
	b.label("sized")
	b.buffer(asm.R3, DescIn, b.l.inMask(), b.l.In+metaRoom)
	b.add(asm.Mov.Imm(asm.R2, 0), asm.Mov.Reg(asm.R4, regTmp), asm.Mov.Imm(asm.R5, invalidateHash))
	b.must(asm.FnSkbStoreBytes)
}
