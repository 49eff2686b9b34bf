package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// plannedTarget is a target in a list for programs.
type plannedTarget struct {
	Name    string  `json:"name"`
	Object  string  `json:"object,omitempty"`
	Program string  `json:"program,omitempty"`
	Config  string  `json:"config,omitempty"`
	Setup   string  `json:"setup,omitempty"`
	Weight  float64 `json:"weight"`
	Dir     string  `json:"directory"`
	Problem string  `json:"problem,omitempty"`
}

// show lists the targets.
func (f *campaignFlags) show(u *ui) error {
	list := make([]plannedTarget, 0, len(f.targets))
	for i := range f.targets {
		list = append(list, f.planned(&f.targets[i]))
	}
	if f.json {
		return u.printJSON(struct {
			Targets []plannedTarget `json:"targets"`
		}{list})
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TARGET\tOBJECT\tPROGRAM\tSET UP BY")
	for _, t := range list {
		by := t.Config
		if t.Setup != "" {
			by = "the campaign"
		}
		if t.Problem != "" {
			by = oneLine(t.Problem)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, dash(t.Object), dash(t.Program), dash(by))
	}
	_ = w.Flush() // into memory
	u.print(b.String())
	u.say("%s", count(len(list), "target"))
	return nil
}

func (f *campaignFlags) planned(t *campaign.Target) plannedTarget {
	p := plannedTarget{Name: t.Name, Object: t.Object, Program: t.Program, Config: t.Config, Setup: t.Setup, Weight: t.Weight, Dir: f.dir(t)}
	file, err := f.read(t)
	switch {
	case t.Problem != nil:
		p.Problem = t.Problem.Error()
	case err != nil:
		p.Problem = err.Error()
	default:
		p.Object, p.Program = file.path(), file.program
		if p.Program == "" {
			p.Program = file.file.Program
		}
	}
	return p
}
