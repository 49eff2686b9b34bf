package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// listedProgram is a program of an object as show --json lists it.
type listedProgram struct {
	Name         string   `json:"name"`
	Section      string   `json:"section"`
	Type         string   `json:"type"`
	License      string   `json:"license"`
	Instructions int      `json:"instructions"`
	Bytes        int      `json:"bytes"`
	Functions    int      `json:"functions"`
	Edges        int      `json:"edges"`
	Loops        int      `json:"loops"`
	Maps         []string `json:"maps"`
	Runnable     bool     `json:"runnable"`
	Why          string   `json:"why,omitempty"`
}

func (f *showFlags) listObject(u *ui, object *bpf.Object) error {
	programs := []listedProgram{}
	for _, s := range object.Summaries() {
		if f.program == "" || f.program == s.Name {
			programs = append(programs, newListedProgram(&s))
		}
	}
	if len(programs) == 0 {
		_, err := object.Code(f.program, bpf.Setup{}) // which names those that there are
		return err
	}
	if f.json {
		return u.printJSON(struct {
			Object   string          `json:"object"`
			Notes    []string        `json:"notes"`
			Programs []listedProgram `json:"programs"`
		}{object.Name, append([]string{}, object.Notes...), programs})
	}
	for _, note := range object.Notes {
		u.detail("note: %s", note)
	}
	u.print(programTable(programs))
	return nil
}

func newListedProgram(s *bpf.ProgramSummary) listedProgram {
	p := listedProgram{
		Name: s.Name, Section: s.Section, Type: s.Type, License: s.License, Instructions: s.Instructions, Bytes: 8 * s.Slots,
		Functions: s.Functions, Edges: s.Edges, Loops: s.Loops, Maps: append([]string{}, s.Maps...),
	}
	err := cmp.Or(s.Runnable, s.Err)
	if p.Runnable = err == nil; err != nil {
		p.Why = oneLine(err.Error())
	}
	return p
}

func programTable(programs []listedProgram) string {
	rows := [][]string{{"NAME", "SECTION", "TYPE", "INSNS", "FUNCTIONS", "EDGES", "LOOPS", "MAPS", "RUNNABLE"}}
	for _, p := range programs {
		runnable := "yes"
		if !p.Runnable {
			runnable = "no: " + p.Why
		}
		rows = append(rows, []string{
			printable(p.Name), printable(p.Section), p.Type, fmt.Sprint(p.Instructions), fmt.Sprint(p.Functions), fmt.Sprint(p.Edges),
			fmt.Sprint(p.Loops), cmp.Or(printable(strings.Join(p.Maps, ",")), "-"), runnable,
		})
	}
	var b strings.Builder
	writeTable(&b, rows)
	return strings.TrimSuffix(b.String(), "\n") // the table's empty line
}

// listedLoaded is a loaded program as show --json lists it, with bpftool's names.
type listedLoaded struct {
	ID        uint32       `json:"id"`
	Type      string       `json:"type"`
	Name      string       `json:"name,omitempty"`
	Tag       string       `json:"tag"`
	GPL       bool         `json:"gpl_compatible"`
	RunTime   int64        `json:"run_time_ns,omitempty"`
	RunCount  uint64       `json:"run_cnt,omitempty"`
	Misses    uint64       `json:"recursion_misses,omitempty"`
	LoadedAt  int64        `json:"loaded_at"`
	UID       uint32       `json:"uid"`
	Xlated    uint32       `json:"bytes_xlated"`
	IsJited   bool         `json:"jited"`
	Jited     uint32       `json:"bytes_jited"`
	Memlock   uint64       `json:"bytes_memlock"`
	Verified  uint32       `json:"verified_insns,omitempty"`
	MapIDs    []uint32     `json:"map_ids"`
	BTF       uint32       `json:"btf_id,omitempty"`
	Processes []listedUser `json:"pids"`

	at time.Time
}

type listedUser struct {
	PID  int    `json:"pid"`
	Comm string `json:"comm"`
}

func newListedLoaded(p *bpf.LoadedProgram) listedLoaded {
	l := listedLoaded{
		ID: p.ID, Type: p.Type, Name: p.Name, Tag: p.Tag, GPL: p.GPL, RunTime: p.RunTime.Nanoseconds(), RunCount: p.RunCount,
		Misses: p.Misses, LoadedAt: p.LoadedAt.Unix(), UID: p.UID, Xlated: p.Xlated, IsJited: p.Jited > 0, Jited: p.Jited,
		Memlock: p.Memlock, Verified: p.Verified, MapIDs: append([]uint32{}, p.MapIDs...), BTF: p.BTF,
		Processes: []listedUser{}, at: p.LoadedAt,
	}
	for _, user := range p.Users {
		l.Processes = append(l.Processes, listedUser{user.PID, user.Comm})
	}
	return l
}

func (f *showFlags) showKernel(u *ui) error {
	programs, err := bpf.LoadedPrograms(f.loaded)
	if err != nil {
		return err
	}
	switch {
	case f.jited:
		return f.showMachineCode(u, programs)
	case f.insns || f.dot || f.svg:
		return f.showLoadedCode(u, programs)
	}
	listed := []listedLoaded{}
	for i := range programs {
		listed = append(listed, newListedLoaded(&programs[i]))
	}
	if f.json {
		return u.printJSON(struct {
			Programs []listedLoaded `json:"programs"`
		}{listed})
	}
	for _, p := range listed {
		u.print(p.text())
	}
	if len(listed) == 0 {
		u.say("no program is loaded")
	}
	return nil
}

func (f *showFlags) showLoadedCode(u *ui, programs []bpf.LoadedProgram) error {
	var all []*shownCode
	for _, p := range programs {
		code, err := bpf.LoadedCode(p.ID)
		if err != nil {
			return err
		}
		shown := newShownCode(code, nil)
		shown.ID = p.ID
		all = append(all, shown)
	}
	return f.showCode(u, all)
}

// text describes a program in paragraphs like bpftool's.
func (p *listedLoaded) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %s", p.ID, p.Type)
	if p.Name != "" {
		fmt.Fprintf(&b, "  name %s", printable(p.Name))
	}
	fmt.Fprintf(&b, "  tag %s", p.Tag)
	if p.GPL {
		b.WriteString("  gpl")
	}
	if p.RunCount > 0 {
		fmt.Fprintf(&b, "  run_time_ns %d  run_cnt %d", p.RunTime, p.RunCount)
	}
	if p.Misses > 0 {
		fmt.Fprintf(&b, "  recursion_misses %d", p.Misses)
	}
	fmt.Fprintf(&b, "\n\tloaded_at %s  uid %d\n\txlated %s  jited %s  memlock %dB", p.at.Format("2006-01-02T15:04:05-0700"), p.UID,
		sizeOr(p.Xlated, "hidden"), sizeOr(p.Jited, "no"), p.Memlock)
	if len(p.MapIDs) > 0 {
		fmt.Fprintf(&b, "  map_ids %s", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(p.MapIDs)), ","), "[]"))
	}
	b.WriteByte('\n')
	if p.BTF != 0 {
		fmt.Fprintf(&b, "\tbtf_id %d\n", p.BTF)
	}
	if len(p.Processes) > 0 {
		var users []string
		for _, user := range p.Processes {
			users = append(users, fmt.Sprintf("%s(%d)", printable(user.Comm), user.PID))
		}
		fmt.Fprintf(&b, "\tpids %s\n", strings.Join(slices.Compact(users), ", "))
	}
	return b.String()
}

func sizeOr(bytes uint32, none string) string {
	if bytes == 0 {
		return none
	}
	return fmt.Sprintf("%dB", bytes)
}

// printable makes a name of an object or a process fit for a terminal.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
}
