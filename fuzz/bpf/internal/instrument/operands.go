package instrument

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// PacketFields says where a context holds the addresses of its packet. An offset
// of -1 means that there is no such field.
type PacketFields struct {
	// Data, End and Meta are the offsets of the addresses of the packet, of its end and
	// of its metadata.
	Data, End, Meta int
	// Len is that of the packet's length.
	Len int
}

// NoPacket is the context of programs without a packet.
var NoPacket = PacketFields{Data: -1, End: -1, Meta: -1, Len: -1}

// Where a value may come from, as bits of taint.
const (
	fromContext uint64 = 1 << iota // an address in the context
	fromPacket                     // the address of the packet, or its metadata's
	fromEnd                        // that of the packet's end
	fromPointer                    // any other address that a program gets
	fromLength                     // the packet's length
)

// addresses holds what makes a value an address.
const addresses = fromContext | fromPacket | fromEnd | fromPointer

// origins follows addresses through all functions of a plan.
type origins struct {
	fields  PacketFields
	args    map[*function]*[6]uint64
	sources map[*function]map[int]uint64
	returns map[*function]uint64
	flows   map[*function]*cfg.Flow
	dirty   map[*function]bool
}

// findOrigins follows addresses until nothing new is found. Functions are followed
// without regard to where they are called from.
func (p *Plan) findOrigins(fields PacketFields) *origins {
	o := &origins{
		fields: fields, args: map[*function]*[6]uint64{}, sources: map[*function]map[int]uint64{},
		returns: map[*function]uint64{}, flows: map[*function]*cfg.Flow{}, dirty: map[*function]bool{},
	}
	for _, fn := range p.funcs {
		o.args[fn], o.sources[fn], o.dirty[fn] = &[6]uint64{}, map[int]uint64{}, true
		if fn.main {
			o.args[fn][asm.R1] = fromContext
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range p.programs {
			c := p.programs[i].callees()
			for _, fn := range p.programs[i].same {
				if o.dirty[fn] {
					o.dirty[fn], changed = false, true
					o.follow(fn, c)
				}
			}
		}
	}
	return o
}

// follow goes through a function and notes what it passes on to others and to itself.
func (o *origins) follow(fn *function, c callees) {
	flow := fn.FlowFrom(*o.args[fn], o.sources[fn])
	o.flows[fn] = flow
	flow.Walk(func(i int, s *cfg.State) {
		ins := &fn.Insns[i]
		switch {
		case ins.OpCode.Class() == asm.LdXClass && s.Regs[ins.Src].Taint&fromContext != 0:
			o.source(fn, i, o.field(int(ins.Offset)))
		case ins.IsBuiltinCall() && givesAddress(asm.BuiltinFunc(ins.Constant)), ins.IsKfuncCall():
			o.source(fn, i, fromPointer)
		case ins.IsFunctionCall():
			o.call(fn, i, s, c)
		case ins.IsLoadOfFunctionPointer():
			// What calls it, and with what, is not followed.
			o.pass(c[ins.Reference()], func(asm.Register) uint64 { return fromPointer })
		case cfg.IsExit(ins):
			o.leave(fn, s.Regs[asm.R0].Taint)
		}
	})
}

func (o *origins) field(off int) uint64 {
	switch off {
	case o.fields.Data, o.fields.Meta:
		return fromPacket
	case o.fields.End:
		return fromEnd
	case o.fields.Len:
		return fromLength
	}
	return 0
}

// source notes what instruction i gives, for which its function is followed again.
func (o *origins) source(fn *function, i int, bits uint64) {
	if o.sources[fn][i]|bits != o.sources[fn][i] {
		o.sources[fn][i] |= bits
		o.dirty[fn] = true
	}
}

func (o *origins) call(fn *function, i int, s *cfg.State, c callees) {
	callee := c[fn.Insns[i].Reference()]
	if callee == nil {
		return
	}
	o.pass(callee, func(r asm.Register) uint64 {
		if isAddress(s.Regs[r]) {
			return s.Regs[r].Taint | fromPointer
		}
		return s.Regs[r].Taint
	})
	o.source(fn, i, o.returns[callee])
}

// pass notes what a function gets in r1 to r5.
func (o *origins) pass(callee *function, bits func(asm.Register) uint64) {
	if callee == nil {
		return
	}
	args := o.args[callee]
	for r := asm.R1; r <= asm.R5; r++ {
		if all := args[r] | bits(r); all != args[r] {
			args[r], o.dirty[callee] = all, true
		}
	}
}

// leave notes what a function returns; its callers are followed again.
func (o *origins) leave(fn *function, bits uint64) {
	if o.returns[fn]|bits == o.returns[fn] {
		return
	}
	o.returns[fn] |= bits
	for caller := range o.dirty {
		o.dirty[caller] = true
	}
}

// isAddress reports whether a value is an address whatever its taint says.
func isAddress(v cfg.Value) bool {
	return v.IsStack() || v.Kind == cfg.Map || v.Kind == cfg.MapValue
}

// givesAddress lists the helpers that return an address or NULL.
func givesAddress(fn asm.BuiltinFunc) bool {
	switch fn {
	case asm.FnMapLookupElem, asm.FnMapLookupPercpuElem, asm.FnRingbufReserve, asm.FnGetLocalStorage,
		asm.FnSkStorageGet, asm.FnInodeStorageGet, asm.FnTaskStorageGet, asm.FnCgrpStorageGet,
		asm.FnSkLookupTcp, asm.FnSkLookupUdp, asm.FnSkcLookupTcp, asm.FnSkFullsock, asm.FnTcpSock, asm.FnGetListenerSock,
		asm.FnSkcToTcp6Sock, asm.FnSkcToTcpSock, asm.FnSkcToTcpTimewaitSock, asm.FnSkcToTcpRequestSock, asm.FnSkcToUdp6Sock,
		asm.FnSkcToUnixSock, asm.FnSkcToMptcpSock, asm.FnSockFromFile, asm.FnGetCurrentTask, asm.FnGetCurrentTaskBtf, asm.FnTaskPtRegs,
		asm.FnPerCpuPtr, asm.FnThisCpuPtr, asm.FnKptrXchg, asm.FnDynptrData:
		return true
	}
	return false
}
