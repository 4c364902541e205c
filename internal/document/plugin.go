package document

// Platforms, as DescribeDocument and agents spell them.
const (
	Windows = "Windows"
	Linux   = "Linux"
	MacOS   = "MacOS"
)

// platforms gives where a plugin runs; false for one that AWS does not know.
// That of aws:runShellScript was seen on AWS; the others are as the user guide
// lists them.
func platforms(plugin string) ([]string, bool) {
	switch plugin {
	case "aws:runShellScript":
		return []string{Linux, MacOS}, true
	case "aws:applications", "aws:cloudWatch", "aws:psModule", "aws:updateAgent":
		return []string{Windows}, true
	case "aws:configureDocker", "aws:domainJoin", "aws:runDockerAction":
		return []string{Windows, Linux}, true
	case "aws:configureDaemon", "aws:configurePackage", "aws:downloadContent",
		"aws:refreshAssociation", "aws:runDocument", "aws:runPowerShellScript",
		"aws:softwareInventory", "aws:updateSsmAgent":
		return []string{Windows, Linux, MacOS}, true
	default:
		return nil, false
	}
}

// PlatformTypes gives where the document runs: wherever one of its plugins
// does. Preconditions do not count, as they do not on AWS.
func (d *Document) PlatformTypes() []string {
	runs := map[string]bool{}
	add := func(plugin string) {
		on, _ := platforms(plugin)
		for _, p := range on {
			runs[p] = true
		}
	}
	for _, p := range d.plugins {
		add(p)
	}
	for _, s := range d.Steps {
		add(s.Action)
	}
	out := []string{}
	for _, p := range []string{Windows, Linux, MacOS} {
		if runs[p] {
			out = append(out, p)
		}
	}
	return out
}
