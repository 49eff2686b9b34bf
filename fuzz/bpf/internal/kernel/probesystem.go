package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	cmdStreamRead = 37 // BPF_PROG_STREAM_READ_BY_FD
	streamStderr  = 2
	vmlinux       = "/sys/kernel/btf/vmlinux"
)

// streamAttr is the part of union bpf_attr that reading a stream reads.
type streamAttr struct {
	buf          unsafe.Pointer
	size, id, fd uint32
	_            uint32
}

// system answers what concerns all programs alike.
func (p *prober) system() {
	p.add("program-streams", tryStream())
	p.add("jit", tryJIT())
	p.add("btf", tryBTF())
}

// tryStream reads what a program that never ran has written: nothing.
func tryStream() error {
	trial, err := newTrial(ebpf.XDP, 0)
	if err != nil {
		return err
	}
	defer trial.close()
	text := make([]byte, 64)
	attr := &streamAttr{size: uint32(len(text)), id: streamStderr, fd: uint32(trial.prog.FD())}
	attr.buf, _ = address(text)
	return answer("reading the stream of a program", call(cmdStreamRead, unsafe.Pointer(attr), unsafe.Sizeof(*attr)))
}

// tryJIT asks for the size of the machine code of a program.
func tryJIT() error {
	trial, err := newTrial(ebpf.XDP, 0)
	if err != nil {
		return err
	}
	defer trial.close()
	info, err := trial.prog.Info()
	if err != nil {
		return fmt.Errorf("reading a program's details: %w%s", err, Explain(err))
	}
	size, err := info.JitedSize()
	if err != nil {
		return fmt.Errorf("reading the size of a program's machine code: %w", err)
	}
	return tell(size > 0, "programs have no machine code: net.core.bpf_jit_enable is 0")
}

// tryBTF opens the types of the kernel.
func tryBTF() error {
	f, err := os.Open(vmlinux)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return no(fmt.Errorf("there is no %s: %w", vmlinux, unix.ENOENT))
	case err != nil:
		return fmt.Errorf("opening the kernel's BTF: %w", err)
	}
	defer f.Close()
	magic := make([]byte, 2)
	if _, err := f.Read(magic); err != nil {
		return fmt.Errorf("reading the kernel's BTF: %w", err)
	}
	return nil
}
