package bpf

import (
	"github.com/cilium/ebpf/asm"
)

// Offsets of the socket of __sk_buff, of the time stamp and of its type.
const (
	skbOffSocket     = 168
	skbOffTstamp     = 152
	skbOffTstampType = 180
)

// skbWords lists the fields of __sk_buff that tc programs read as words.
func skbWords() []int16 {
	return []int16{
		0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 84,
		skbOffWireLen, skbOffGSOSegs, skbOffGSOSize,
	}
}

// skbReport hashes every field.
func (g *generated) skbReport() {
	for _, off := range skbWords() {
		g.field(off, asm.Word)
	}
	g.distance(skbOffDataEnd, skbOffData)
	g.field(skbOffTstamp, asm.DWord)
	g.field(skbOffTstampType, asm.Byte)
	g.field(skbOffHWTstamp, asm.DWord)
}

func (g *generated) xdpReport() {
	g.field(xdpOffIngress, asm.Word)
	g.field(xdpOffQueue, asm.Word)
	g.distance(xdpOffDataEnd, xdpOffData)
	g.distance(xdpOffData, xdpOffMeta)
	g.metaBytes()
}

// sharedActions are those of both kinds of programs.
func (g *generated) sharedActions() []func() {
	return []func(){
		func() { g.tailCall(0) },
		func() { g.tailCall(1) },
		g.count,
		g.skip,
		func() {
			g.add(asm.Mov.Imm(asm.R1, lo), asm.Mov.Imm(asm.R2, int32(g.rng.IntN(2))), asm.FnRedirect.Call())
			g.mix()
		},
		g.mtu,
	}
}

// tailCall calls the program itself or the other one where a bit of the hash says so.
// The kernel ends a chain after 33.
func (g *generated) tailCall(index int32) {
	g.unless(int32(1)<<g.rng.IntN(8), asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6), asm.LoadMapPtr(asm.R2, 0).WithReference("jump"), asm.Mov.Imm(asm.R3, index), asm.FnTailCall.Call(),
	})
}

// unless runs code if the hash has none of the bits.
func (g *generated) unless(bits int32, code asm.Instructions) {
	slots := 0
	for i := range code {
		slots += int(code[i].Width())
	}
	g.add(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JSet).SetSource(asm.ImmSource), Dst: asm.R7, Constant: int64(bits), Offset: int16(slots)})
	g.add(code...)
}

// skip is a branch that depends on all that was learnt so far.
func (g *generated) skip() {
	g.unless(int32(1)<<g.rng.IntN(16), asm.Instructions{asm.Add.Imm(asm.R7, int32(g.rng.IntN(1000)))})
}

// count hashes a counter in a map and raises it.
func (g *generated) count() {
	g.add(
		asm.Mov.Imm(asm.R0, int32(g.rng.IntN(4))), asm.StoreMem(asm.R10, -4, asm.R0, asm.Word),
		asm.LoadMapPtr(asm.R1, 0).WithReference("counts"), asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call(),
	)
	add := asm.Instructions{
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), asm.Add.Imm(asm.R1, 1), asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R0, asm.R1),
	}
	g.add(jumpIfZero(asm.R0, len(add)))
	g.add(add...)
	g.mix()
}

func jumpIfZero(r asm.Register, slots int) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq).SetSource(asm.ImmSource), Dst: r, Offset: int16(slots)}
}

// direct reads and writes a byte of the packet by its address, if it is in the
// linear part.
func (g *generated) direct(data, end int16) {
	off := int16(g.rng.IntN(100))
	g.add(
		asm.Mov.Imm(asm.R0, 0),
		asm.LoadMem(asm.R2, asm.R6, data, asm.Word), asm.LoadMem(asm.R3, asm.R6, end, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, int32(off)+1),
		jumpOver(asm.JGT, asm.R4, asm.R3, 2),
		asm.LoadMem(asm.R0, asm.R2, off, asm.Byte), asm.StoreMem(asm.R2, off, asm.R7, asm.Byte),
	)
	g.mix()
}

// stackCall calls a helper with the context and the address of the last n bytes of the
// stack, of which the first eight are the hash.
func (g *generated) stackCall(fn asm.BuiltinFunc, n int32, rest ...asm.Instruction) {
	g.stack()
	g.add(asm.StoreMem(asm.R10, int16(-n), asm.R7, asm.DWord))
	g.add(asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -n))
	g.add(rest...)
	g.add(fn.Call())
	g.mix()
	g.add(asm.LoadMem(asm.R0, asm.R10, int16(-n), asm.DWord))
	g.mix()
}

// tunnel sets or gets tunnel identifier and remote address.
func (g *generated) tunnel(fn asm.BuiltinFunc) {
	g.stackCall(fn, 8, asm.Mov.Imm(asm.R3, 8), asm.Mov.Imm(asm.R4, 0))
}

func (g *generated) tunnelOption(fn asm.BuiltinFunc) {
	if fn == asm.FnSkbSetTunnelOpt {
		g.tunnel(asm.FnSkbSetTunnelKey) // without it there are no options
	}
	g.stackCall(fn, 8, asm.Mov.Imm(asm.R3, 4))
}

// fib looks a route up.
func (g *generated) fib(fn asm.BuiltinFunc) {
	g.stackCall(fn, 64, asm.Mov.Imm(asm.R3, 64), asm.Mov.Imm(asm.R4, int32(g.rng.IntN(2))))
}

// mtu compares lengths with the MTU of lo.
func (g *generated) mtu() {
	g.stack()
	g.add(
		asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, int32(g.rng.IntN(2))), asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, int32(g.between(-64, 64))), asm.Mov.Imm(asm.R5, 0), asm.FnCheckMtu.Call(),
	)
	g.mix()
	g.add(asm.LoadMem(asm.R0, asm.R10, -8, asm.Word))
	g.mix()
}

// perf sends an event with some of the packet, to nobody.
func (g *generated) perf(fn asm.BuiltinFunc) {
	g.stack()
	g.add(
		asm.Mov.Reg(asm.R1, asm.R6), asm.LoadMapPtr(asm.R2, 0).WithReference("events"),
		asm.LoadImm(asm.R3, int64(g.rng.IntN(64))<<32|0xffffffff, asm.DWord),
		asm.Mov.Reg(asm.R4, asm.R10), asm.Add.Imm(asm.R4, -8), asm.Mov.Imm(asm.R5, 8), fn.Call(),
	)
	g.mix()
}

// relative hashes bytes behind the network header.
func (g *generated) relative() {
	g.stack()
	g.add(
		asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, int32(g.rng.IntN(24))), asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 8), asm.Mov.Imm(asm.R5, int32(g.rng.IntN(2))), asm.FnSkbLoadBytesRelative.Call(),
	)
	g.mix()
	g.add(asm.LoadMem(asm.R0, asm.R10, -8, asm.DWord))
	g.mix()
}

// listenPort is where the tests of generated programs have a UDP socket.
const listenPort = 0x1e1e // the same in both byte orders

// lookupSocket looks the UDP socket of the test up and, if with is one, calls a helper
// with it.
func (g *generated) lookupSocket(with asm.BuiltinFunc) {
	g.stack()
	g.add(
		asm.Mov.Imm(asm.R0, 0x0100007f), asm.StoreMem(asm.R10, -20, asm.R0, asm.Word), // from and to 127.0.0.1
		asm.StoreMem(asm.R10, -16, asm.R0, asm.Word),
		asm.Mov.Imm(asm.R0, listenPort), asm.StoreMem(asm.R10, -10, asm.R0, asm.Half),
		asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -20), asm.Mov.Imm(asm.R3, 12),
		asm.Mov.Imm(asm.R4, -1), asm.Mov.Imm(asm.R5, 0), asm.FnSkLookupUdp.Call(),
	)
	var found asm.Instructions
	if with != 0 {
		found = append(found,
			asm.Mov.Reg(asm.R8, asm.R0), asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Reg(asm.R2, asm.R8), asm.Mov.Imm(asm.R3, 0), with.Call(),
			asm.Add.Reg(asm.R7, asm.R0), asm.Mov.Reg(asm.R0, asm.R8))
	}
	found = append(found, asm.Mov.Reg(asm.R1, asm.R0), asm.FnSkRelease.Call(), asm.Mov.Imm(asm.R0, 7))
	g.add(jumpIfZero(asm.R0, len(found)))
	g.add(found...)
	g.mix()
}

// ownSocket hashes a field of the skb's own socket: interface, family, addresses, ports
// or state.
func (g *generated) ownSocket() {
	fields := []int16{0, 4, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72}
	g.add(
		asm.LoadMem(asm.R0, asm.R6, skbOffSocket, asm.DWord), jumpIfZero(asm.R0, 1),
		asm.LoadMem(asm.R0, asm.R0, fields[g.rng.IntN(len(fields))], asm.Word),
	)
	g.mix()
}

func (g *generated) xdpActions() []func() {
	return []func(){
		func() { g.call(asm.FnXdpAdjustHead, g.between(-224, 64)) },
		func() { g.call(asm.FnXdpAdjustHead, -g.between(0, 64)) },
		func() { g.call(asm.FnXdpAdjustMeta, 4*g.between(-60, 16)) },
		func() { g.call(asm.FnXdpAdjustTail, g.between(-64, 700)) },
		func() { g.bytes(asm.FnXdpLoadBytes) },
		func() { g.bytes(asm.FnXdpLoadBytes) },
		func() { g.write(asm.FnXdpStoreBytes) },
		func() { g.field(xdpOffIngress, asm.Word) },
		func() { g.field(xdpOffQueue, asm.Word) },
		func() { g.distance(xdpOffDataEnd, xdpOffData) },
		func() { g.distance(xdpOffData, xdpOffMeta) },
		func() { g.call(asm.FnXdpGetBuffLen) },
		func() { g.direct(xdpOffData, xdpOffDataEnd) },
		func() { g.perf(asm.FnPerfEventOutput) },
		func() { g.fib(asm.FnFibLookup) },
		func() { g.lookupSocket(0) },
		g.metaBytes,
		g.excursion,
	}
}

// metaBytes hashes the first metadata, if there is any.
func (g *generated) metaBytes() {
	g.add(
		asm.Mov.Imm(asm.R0, 0),
		asm.LoadMem(asm.R2, asm.R6, xdpOffMeta, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, xdpOffData, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 4),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JGT).SetSource(asm.RegSource), Dst: asm.R4, Src: asm.R3, Offset: 1},
		asm.LoadMem(asm.R0, asm.R2, 0, asm.Word),
	)
	g.mix()
}

// excursion writes in front of the packet and comes back.
func (g *generated) excursion() {
	n := 16 + g.rng.IntN(200)
	g.call(asm.FnXdpAdjustHead, -n)
	g.write(asm.FnXdpStoreBytes)
	g.call(asm.FnXdpAdjustHead, n)
}

func (g *generated) skbActions() []func() {
	fields := skbWords()
	writable := []int16{8, 12, 32, 44, 48, 52, 56, 60, 64, 72}
	pick := func(list []int16) int16 { return list[g.rng.IntN(len(list))] }
	actions := []func(){
		func() { g.bytes(asm.FnSkbLoadBytes) },
		func() { g.write(asm.FnSkbStoreBytes, g.rng.IntN(4)) },
		func() { g.field(152, asm.DWord) },
		func() { g.field(skbOffHWTstamp, asm.DWord) },
		func() { g.add(asm.StoreMem(asm.R6, 152, asm.R7, asm.DWord)) },
		func() { g.call(asm.FnSkbChangeTail, g.between(0, 400), 0) },
		func() { g.call(asm.FnSkbPullData, g.between(0, 64)) },
		func() { g.call(asm.FnGetHashRecalc) },
		func() { g.call(asm.FnSetHash, g.between(0, 1000)) },
		func() { g.call(asm.FnSetHashInvalid) },
		func() { g.call(asm.FnL3CsumReplace, 24, g.between(0, 999), g.between(0, 999), 2) },
		func() {
			g.call(asm.FnL4CsumReplace, 36, g.between(0, 999), g.between(0, 999), []int{2, 18, 34}[g.rng.IntN(3)])
		},
		func() { g.call(asm.FnCsumUpdate, g.between(0, 999)) },
		func() { g.call(asm.FnCsumLevel, g.rng.IntN(4)) },
		func() { g.call(asm.FnSkbEcnSetCe) },
		func() { g.distance(skbOffDataEnd, skbOffData) },
		func() { g.direct(skbOffData, skbOffDataEnd) },
		func() { g.relative() },
		func() { g.call(asm.FnGetCgroupClassid) },
		func() { g.call(asm.FnGetRouteRealm) },
		func() { g.perf(asm.FnPerfEventOutput) },
		func() { g.fib(asm.FnFibLookup) },
		func() { g.lookupSocket(0) },
		g.ownSocket,
	}
	// Often: looking and writing. Seldom: what leaves traces.
	for range 6 {
		actions = append(actions, func() { g.field(pick(fields), asm.Word) })
	}
	for range 3 {
		actions = append(actions, func() { g.add(asm.StoreMem(asm.R6, pick(writable), asm.R7, asm.Word)) })
	}
	lasting := []func(){
		func() { g.call(asm.FnSkbChangeHead, g.between(0, 64), 0) },
		func() {
			g.call(asm.FnSkbAdjustRoom, g.between(-20, 40), g.rng.IntN(2), []int{0, 1, 2, 32}[g.rng.IntN(4)])
		},
		func() { g.call(asm.FnSkbChangeProto, []int{0xdd86, 0x0008}[g.rng.IntN(2)], 0) },
		func() { g.call(asm.FnSkbVlanPush, []int{0x0081, 0xa888}[g.rng.IntN(2)], g.rng.IntN(4096)) },
		func() { g.call(asm.FnSkbVlanPop) },
		func() { g.call(asm.FnSkbChangeType, g.rng.IntN(4)) },
		func() { g.call(asm.FnSkbSetTstamp, 1+g.rng.IntN(1000), g.rng.IntN(2)) },
		func() { g.call(asm.FnCloneRedirect, lo, 0) },
		func() { g.lookupSocket(asm.FnSkAssign) },
		func() { g.tunnel(asm.FnSkbSetTunnelKey) },
		func() { g.tunnel(asm.FnSkbGetTunnelKey) },
		func() { g.tunnelOption(asm.FnSkbSetTunnelOpt) },
		func() { g.tunnelOption(asm.FnSkbGetTunnelOpt) },
		func() { g.bytes(asm.FnSkbLoadBytes) },
	}
	return append(actions, func() { lasting[g.rng.IntN(len(lasting))]() })
}
