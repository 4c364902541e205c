package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun"
)

const (
	// callTimeout bounds one call, its repeats included.
	callTimeout = 30 * time.Second
	// pageSize is the most that the lists give at once; the default of
	// DescribeInstanceInformation is 10.
	pageSize = 50
	// lostPatience is how long a known instance whose connection is lost is
	// waited for.
	lostPatience = time.Minute
	// heartbeat is the longest silence of a run.
	heartbeat = 30 * time.Second
)

// Instance is a managed instance as Systems Manager shows it.
type Instance struct {
	ID              string
	Name            string // host name
	IPAddress       string
	Ping            ssmrun.PingStatus
	LastPing        time.Time // zero where it never pinged
	AgentVersion    string
	PlatformType    string // Linux, Windows, MacOS
	PlatformName    string
	PlatformVersion string
}

// Instances lists managed instances in the service's order: those with these
// ids as far as they are known, all of them for none.
func (r *Runner) Instances(ctx context.Context, ids ...string) ([]Instance, error) {
	found, _, err := r.instances(ctx, ids)
	return found, err
}

// instances is Instances, and how far ahead of ours the service's clock is.
func (r *Runner) instances(ctx context.Context, ids []string) (found []Instance, skew time.Duration, err error) {
	groups := slices.Collect(slices.Chunk(ids, pageSize))
	if len(ids) == 0 {
		groups = [][]string{nil}
	}
	for _, group := range groups {
		in := &ssm.DescribeInstanceInformationInput{MaxResults: aws.Int32(pageSize)}
		if group != nil {
			in.Filters = []types.InstanceInformationStringFilter{{Key: aws.String("InstanceIds"), Values: group}}
		}
		err := pages(func(token *string) (*string, error) {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			in.NextToken = token
			out, err := r.cfg.SSM.DescribeInstanceInformation(ctx, in)
			if err != nil {
				return nil, r.callError("DescribeInstanceInformation", err)
			}
			if d, ok := awsmiddleware.GetAttemptSkew(out.ResultMetadata); ok {
				skew = d
			}
			for _, i := range out.InstanceInformationList {
				found = append(found, instanceOf(i))
			}
			return out.NextToken, nil
		})
		if err != nil {
			return nil, skew, err
		}
	}
	return found, skew, nil
}

func instanceOf(i types.InstanceInformation) Instance {
	return Instance{
		ID:              aws.ToString(i.InstanceId),
		Name:            aws.ToString(i.ComputerName),
		IPAddress:       aws.ToString(i.IPAddress),
		Ping:            ssmrun.PingStatus(i.PingStatus),
		LastPing:        aws.ToTime(i.LastPingDateTime),
		AgentVersion:    aws.ToString(i.AgentVersion),
		PlatformType:    string(i.PlatformType),
		PlatformName:    aws.ToString(i.PlatformName),
		PlatformVersion: aws.ToString(i.PlatformVersion),
	}
}

// pages asks for page after page. A page may be shorter than asked for, or
// empty, and not be the last; a token that comes back twice would never end.
func pages(next func(token *string) (*string, error)) error {
	var token *string
	for {
		following, err := next(token)
		if err != nil {
			return err
		}
		if aws.ToString(following) == "" {
			return nil
		}
		if token != nil && *token == *following {
			return fmt.Errorf("the service gives the same page again and again")
		}
		token = following
	}
}

// standing is what is known of an instance that was asked for.
type standing struct {
	id       string
	ready    bool
	instance Instance
	// cause says why it is not ready, detail adds what changes from look to look,
	// brief is for progress; advice says what to do about it.
	cause, detail, brief, advice string
	// lost: it is known, but its connection is lost.
	lost bool
	// hopeless: waiting cannot help.
	hopeless bool
}

func (s standing) problem() Problem {
	return Problem{FieldInstanceIDs, s.id, s.id + " " + s.cause + s.detail, s.advice}
}

const (
	adviceRegister = "Its SSM Agent must be installed and run, its instance profile have AmazonSSMManagedInstanceCore, and it must reach the Systems Manager endpoints of its region"
	adviceAgent    = "Check that the machine and its SSM Agent run and reach Systems Manager"
)

// standings looks at instances once, in the order of ids.
func (r *Runner) standings(ctx context.Context, ids []string) ([]standing, time.Duration, error) {
	found, skew, err := r.instances(ctx, ids)
	if err != nil {
		return nil, skew, err
	}
	known := make(map[string]Instance, len(found))
	for _, i := range found {
		known[i.ID] = i
	}
	var ask []string
	for _, id := range ids {
		if i, ok := known[id]; isEC2(id) && (!ok || i.Ping != ssmrun.Online) {
			ask = append(ask, id)
		}
	}
	states := r.ec2States(ctx, ask)
	all := make([]standing, len(ids))
	for n, id := range ids {
		i, ok := known[id]
		all[n] = r.judge(id, i, ok, states)
	}
	return all, skew, nil
}

func (r *Runner) judge(id string, i Instance, known bool, states ec2States) standing {
	s := standing{id: id, instance: i, ready: known && i.Ping == ssmrun.Online}
	if s.ready {
		return s
	}
	state, asked := states.of(id)
	switch {
	case asked && state == ec2NotFound && !known:
		s.cause, s.advice, s.hopeless = "does not exist in "+r.region()+": neither Systems Manager nor EC2 knows it", "Check the id, the region and the account", true
	case asked && (state == "terminated" || state == "shutting-down"):
		s.cause, s.advice, s.hopeless = "is "+state, "Name an instance that exists", true
	case asked && (state == "stopped" || state == "stopping"):
		s.cause, s.advice, s.hopeless = "is "+state, "Start it first", true
	case known:
		s.cause, s.detail = "is offline: the connection to its agent is lost", lastHeard(i.LastPing, r.cfg.Now())
		s.brief, s.advice, s.lost = "offline, the connection to its agent is lost", adviceAgent, true
	case !isEC2(id):
		s.cause, s.advice, s.hopeless = "is not registered with Systems Manager in "+r.region(), "Check the id and the region, or register the machine again", true
	case asked:
		s.cause, s.advice = fmt.Sprintf("is not registered with Systems Manager in %s (EC2 says %s)", r.region(), state), adviceRegister
		s.brief = "not registered with Systems Manager yet, EC2 says " + state
	default:
		s.cause, s.advice = fmt.Sprintf("is not registered with Systems Manager in %s", r.region()), adviceRegister+". Check the id, too: EC2 could not be asked ("+states.reason+")"
		s.brief = "not registered with Systems Manager yet"
	}
	return s
}

func lastHeard(last, now time.Time) string {
	if last.IsZero() {
		return ""
	}
	return fmt.Sprintf(" (last heard of %s ago)", short(max(now.Sub(last), time.Second)))
}

// awaitInstances waits, where the request asks for it, for the instances that
// may yet become ready, beginning with what was seen first.
func (x *run) awaitInstances(ctx context.Context, all []standing) error {
	var (
		start    = time.Now()
		lostAt   = map[string]time.Time{}
		told     string
		toldAt   time.Time
		interval = time.Second
		giveUp   = func(s standing, now time.Time) bool {
			if s.hopeless || now.Sub(start) >= x.req.WaitForInstances {
				return true
			}
			if !s.lost {
				delete(lostAt, s.id)
				return false
			}
			if lostAt[s.id].IsZero() {
				lostAt[s.id] = now
			}
			return now.Sub(lostAt[s.id]) >= lostPatience
		}
	)
	for {
		var missing []standing
		var problems []Problem
		now := time.Now()
		for _, s := range all {
			if s.ready {
				x.ready(s.instance)
				if p := x.document.platformProblem(x.req.Document, s.id, s.instance.PlatformType); p != nil {
					problems = append(problems, *p)
				}
				continue
			}
			missing = append(missing, s)
			if giveUp(s, now) {
				p := s.problem()
				if waited := now.Sub(start); !s.hopeless && waited >= time.Second {
					p.Summary += fmt.Sprintf(", after waiting %s for it", short(waited))
				}
				problems = append(problems, p)
			}
		}
		if len(problems) > 0 {
			return &ValidationError{Problems: problems}
		}
		if len(missing) == 0 {
			return nil
		}
		event := WaitingForInstances{Missing: awaited(missing), Elapsed: now.Sub(start), Limit: x.req.WaitForInstances}
		if key := fmt.Sprint(event.Missing); key != told || now.Sub(toldAt) >= heartbeat {
			told, toldAt = key, now
			x.emit(ctx, event)
		}
		if err := sleep(ctx, interval); err != nil {
			return err
		}
		interval = min(interval+time.Second, 5*time.Second)
		ids := make([]string, len(missing))
		for i, s := range missing {
			ids[i] = s.id
		}
		next, _, err := x.standings(ctx, ids)
		switch {
		case err == nil:
			all = next
		case ctx.Err() == nil && passing(err):
			x.log.Info("instances could not be looked at; trying again", "error", err.Error())
			all = missing
		default:
			return err
		}
	}
}

func awaited(missing []standing) []Awaited {
	list := make([]Awaited, len(missing))
	for i, s := range missing {
		list[i] = Awaited{ID: s.id, Cause: s.brief}
	}
	return list
}
