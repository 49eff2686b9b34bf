package bpf

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Selector says which loaded programs are meant: those that agree with every field
// that is not zero.
type Selector struct {
	ID uint32
	// Tag is 16 hexadecimal digits, a hash of the instructions.
	Tag string
	// Name is the program's name, or the first 15 bytes of it, which is all that a
	// kernel keeps without BTF.
	Name string
	// Pinned is a path in a BPF file system.
	Pinned string
}

// String names the selection as the flags of the command do, "" for all programs.
func (s Selector) String() string {
	var words []string
	if s.ID != 0 {
		words = append(words, fmt.Sprintf("id %d", s.ID))
	}
	for _, w := range [][2]string{{"tag", s.Tag}, {"name", s.Name}, {"pinned", s.Pinned}} {
		if w[1] != "" {
			words = append(words, w[0]+" "+w[1])
		}
	}
	return strings.Join(words, ", ")
}

// LoadedProgram is what the kernel tells of a program that is loaded.
type LoadedProgram struct {
	ID uint32
	// Type is as bpftool prints it.
	Type string
	// Name is the whole name where the program has BTF, else its first 15 bytes.
	Name string
	Tag  string
	GPL  bool
	// LoadedAt is when it was loaded, exact to about a second.
	LoadedAt time.Time
	UID      uint32
	// Xlated and Jited are in bytes. They are 0 where the kernel hides them, Jited also
	// where the program is interpreted.
	Xlated, Jited uint32
	// Memlock is the memory that is accounted to the program, in bytes.
	Memlock uint64
	MapIDs  []uint32
	// BTF is the id of its type information, 0 for none.
	BTF uint32
	// Verified is how many instructions the verifier looked at, 0 where the kernel does
	// not say.
	Verified uint32
	// RunTime, RunCount and Misses stay 0 while statistics are off (the sysctl
	// kernel.bpf_stats_enabled).
	RunTime          time.Duration
	RunCount, Misses uint64
	// Users are processes with a file descriptor of the program or of a link to it.
	Users []ProgramUser
}

// ProgramUser is a process that holds a program.
type ProgramUser struct {
	PID  int
	Comm string
}

// LoadedPrograms lists programs in the order of their ids. It is an error when a
// selector other than the zero value finds none. Errors say which privilege is
// missing.
func LoadedPrograms(s Selector) ([]LoadedProgram, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	users := programUsers() // before programs are opened here
	var list []LoadedProgram
	err := s.each(func(prog *ebpf.Program) error {
		p, err := describeLoaded(prog)
		if err == nil && s.matches(p) {
			p.Users = users[p.ID]
			list = append(list, *p)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && s != (Selector{}) {
		return nil, fmt.Errorf("no program with %s is loaded", s)
	}
	return list, nil
}

func (s Selector) check() error {
	if s.Tag == "" {
		return nil
	}
	if b, err := hex.DecodeString(s.Tag); err != nil || len(b) != 8 {
		return fmt.Errorf("tag %q: a tag has 16 hexadecimal digits", s.Tag)
	}
	return nil
}

func (s Selector) matches(p *LoadedProgram) bool {
	switch {
	case s.ID != 0 && s.ID != p.ID, s.Tag != "" && !strings.EqualFold(s.Tag, p.Tag):
		return false
	}
	return s.Name == "" || s.Name == p.Name || s.Name == p.Name[:min(len(p.Name), shortName)]
}

// shortName is how much of a name the kernel keeps.
const shortName = unix.BPF_OBJ_NAME_LEN - 1

// each opens the programs that may be meant, one after the other.
func (s Selector) each(do func(*ebpf.Program) error) error {
	open := func(prog *ebpf.Program, err error) error {
		if err != nil {
			return err
		}
		return errors.Join(do(prog), prog.Close())
	}
	switch {
	case s.Pinned != "":
		return open(openPinned(s.Pinned))
	case s.ID != 0:
		return open(openID(ebpf.ProgramID(s.ID)))
	}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing loaded programs: %w%s", err, needs(err, "CAP_SYS_ADMIN"))
		}
		id = next
		if err := open(openID(id)); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have gone meanwhile
			return err
		}
	}
}

func openID(id ebpf.ProgramID) (*ebpf.Program, error) {
	prog, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no program with id %d is loaded: %w", id, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("opening program %d: %w%s", id, err, needs(err, "CAP_SYS_ADMIN"))
	}
	return prog, nil
}

func openPinned(path string) (*ebpf.Program, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening a pinned program: %w", err)
	}
	prog, err := ebpf.LoadPinnedProgram(path, &ebpf.LoadPinOptions{ReadOnly: false})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) {
		return nil, fmt.Errorf("opening pinned program %s: it is not a pinned program: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening pinned program %s: %w%s", path, err, needs(err, "CAP_BPF"))
	}
	return prog, nil
}

// needs says what an operation needs that was not permitted, "" for other errors.
func needs(err error, capability string) string {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return ""
	}
	if text := kernel.Explain(err); text != "" {
		return text
	}
	return "; it needs " + capability + ", or the kernel is locked down"
}

func describeLoaded(prog *ebpf.Program) (*LoadedProgram, error) {
	info, err := kernel.ReadProgramInfo(prog.FD())
	if err != nil {
		return nil, err
	}
	p := &LoadedProgram{
		ID: info.ID, Type: typeName(prog.Type()), Name: fullName(prog, info), Tag: hex.EncodeToString(info.Tag[:]),
		GPL: info.GPL, UID: info.UID, LoadedAt: bootTime().Add(time.Duration(info.LoadTime)).Truncate(time.Second),
		Xlated: info.XlatedSize, Jited: info.JitedSize, Memlock: memlockOf(prog.FD()), MapIDs: info.MapIDs, BTF: info.BTF,
		Verified: info.Verified, RunTime: time.Duration(info.RunTime), RunCount: info.RunCount, Misses: info.Misses,
	}
	slices.Sort(p.MapIDs)
	return p, nil
}

// fullName returns the name of the program's function where there is BTF and it may
// be read, else what the kernel keeps.
func fullName(prog *ebpf.Program, info *kernel.ProgramInfo) string {
	if info.BTF == 0 || len(info.Name) < shortName {
		return info.Name
	}
	details, err := prog.Info()
	if err != nil {
		return info.Name
	}
	funcs, err := details.FuncInfos()
	if err != nil || len(funcs) == 0 || !strings.HasPrefix(funcs[0].Func.Name, info.Name) {
		return info.Name
	}
	return funcs[0].Func.Name
}

// bootTime is when the machine was started, which the kernel counts from.
func bootTime() time.Time {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(since.Nano()))
}
