package corpus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func step(packet string) *Input { return &Input{Steps: []Step{{Packet: []byte(packet)}}} }

func load(t *testing.T, d *Dir) (inputs []*Input, warnings []error) {
	t.Helper()
	err := d.Load(t.Context(), func(in *Input) { inputs = append(inputs, in) }, func(err error) { warnings = append(warnings, err) })
	if err != nil {
		t.Fatal(err)
	}
	return inputs, warnings
}

func TestDirKeepsInputs(t *testing.T) {
	d, err := OpenDir(filepath.Join(t.TempDir(), "out", "corpus"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Add(step("a"), step("b"), step("a")); err != nil {
		t.Fatal(err)
	}
	inputs, warnings := load(t, d)
	if len(inputs) != 2 || len(warnings) != 0 {
		t.Fatalf("loaded %d inputs with %v, want 2 without warnings", len(inputs), warnings)
	}
	files, _ := os.ReadDir(d.Path())
	if len(files) != 2 {
		t.Errorf("%d files in the directory, want 2: temporary ones must go", len(files))
	}
}

func TestDirSetsCorruptFilesAside(t *testing.T) {
	good := MarshalFile(step("good"))
	for name, file := range map[string]struct{ name, contents, want string }{
		"bit flip":      {FileName(good), strings.Replace(string(good), "good", "gooe", 1), "hash in its name"},
		"cut off":       {"0123", string(good[:20]), "not a single []byte value"},
		"no header":     {"notes.txt", "hello", "first line is not"},
		"newer":         {"n", "go test fuzz v2\n[]byte(\"a\")\n", `its first line is "go test fuzz v2", "go test fuzz v1" is known`},
		"other type":    {"x", "go test fuzz v1\nint(3)\n", "not a single []byte value"},
		"broken string": {"y", "go test fuzz v1\n[]byte(\"\\q\")\n", "not a Go string"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := OpenDir(filepath.Join(t.TempDir(), "corpus"))
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Add(step("kept")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(d.Path(), file.name), []byte(file.contents), 0o600); err != nil {
				t.Fatal(err)
			}
			inputs, warnings := load(t, d)
			if len(inputs) != 1 {
				t.Errorf("loaded %d inputs, want the good one", len(inputs))
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), file.want) {
				t.Errorf("warnings %v, want one with %q", warnings, file.want)
			}
			aside, err := os.ReadFile(filepath.Join(d.corrupt(), file.name))
			if err != nil || string(aside) != file.contents {
				t.Errorf("the corrupt file was not kept: %v", err)
			}
			if _, warnings = load(t, d); len(warnings) != 0 {
				t.Errorf("a second load still warns: %v", warnings)
			}
		})
	}
}

func TestOpenDirErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenDir(filepath.Join(file, "corpus"))
	if err == nil || !strings.Contains(err.Error(), "choose another with -o") {
		t.Errorf("OpenDir below a file: %v", err)
	}
}
