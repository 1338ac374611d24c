"""What the field tools say, in English and Chinese: each sentence once, for terminal, phone page and report."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from hostkit.field.trial import Check, Held, Need, Note, Trial

Language = Literal["en", "zh"]
MOST_FACTOR = 99.0  # what is further off is simply wrong
LANGUAGES: tuple[Language, ...] = ("en", "zh")

WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # on the way
        "guide_walk": (
            "Stand on each marked point in the open, phone in your hand, turn round once while it listens.",
            "依次站到每个标记点，手持手机，测量时原地转一圈。",
        ),
        "guide_link": (
            "Stand at each distance in sight of the probe, measured straight from it to the phone; turn round once.",
            "在探针视线内站到每个距离处（从探针到手机的直线距离），测量时原地转一圈。",
        ),
        "guide_zones": (
            "Walk into a zone, stay until it was heard, walk out again; do every zone at least twice.",
            "走进区域，等待测量完成后走出；每个区域至少两次。",
        ),
        "guide_count": (
            "Stand where you see everybody at the door. Tap once for each person.",
            "站在能看清门口每个人的位置。每有一人点一次。",
        ),
        "tap_in": ("One in", "进一人"),
        "tap_out": ("One out", "出一人"),
        "tap_by": ("One by outside", "门外过一人"),
        "unsent": ("{0} not sent yet: stay near the laptop", "{0} 次未发送：请勿远离电脑"),
        "keys_count": (
            "Enter: one in; 3: three in; o: one out; u: undo; q: finish",
            "回车：进一人；3：进三人；o：出一人；u：撤销；q：完成",
        ),
        "keys_count_by": (
            "Enter: one in; 3: three in; o: one out; p: one by outside; u: undo; q: finish",
            "回车：进一人；3：进三人；o：出一人；p：门外过一人；u：撤销；q：完成",
        ),
        "tally": ("{0} in, {1} out, {2} by", "进 {0}，出 {1}，门外过 {2}"),
        "count_of": ("{0} people, {1} devices", "{0} 人，{1} 个设备"),
        "kappa_door": (
            "{0} people per device at the door, {1} to {2} (90 %), from {3}; {4}",
            "门口每设备 {0} 人，{1} 至 {2}（90%），依据 {3}；{4}",
        ),
        "kappa_inside": (
            "{0} people per device inside, {1} to {2} (90 %), from {3}; {4}",
            "店内每设备 {0} 人，{1} 至 {2}（90%），依据 {3}；{4}",
        ),
        "counts": ("{0} counts", "{0} 次计数"),
        "count_again": ("count again at another hour", "请换个时段再数一次"),
        "count_enough": ("nothing more to do until the shop changes", "门店无变化则无需再数"),
        "count_none": ("count people again: nothing is calibrated now", "请重新计数：目前没有校准"),
        "no_tap": ("{0} is nothing I know", "不认识 {0}"),
        "only_capture": (
            "only a capture tells who passed by: count who comes in",
            "只有抓包文件才能判断门外经过的人：请只数进门的人",
        ),
        "hub_behind": (
            "is two to three minutes behind; leave this open until it says PASS or FAIL",
            "数据晚两三分钟；请等待显示 PASS 或 FAIL",
        ),
        "count_kept": (
            "every tap is kept here; after a crash the same command goes on, and --from takes the file",
            "每次点击都保存在此；中断后重新运行同一命令即可继续，也可用 --from 读取",
        ),
        "count_goes_on": (
            "goes on with {0} people of an earlier run; to begin anew, remove the file",
            "继续之前数到的 {0} 人；如需重新开始，请删除该文件",
        ),
        "count_lost": (
            "{0} people came after the hub's last figure of their run; they are left out",
            "{0} 人在当次中枢最后一个数据之后到来，不计入",
        ),
        "stand_walk": ("I stand on point {0}", "我站在 {0} 号点"),
        "stand_link": ("I stand at {0}", "我站在 {0}"),
        "stand_zones": ("I am in {0}", "我在 {0}"),
        "listening": ("Listening: stay, turn round once", "正在测量：请勿离开，原地转一圈"),
        "undo": ("Undo the last", "撤销上一个"),
        "end": ("Finish", "完成"),
        "sure": ("Finish now?", "现在完成吗？"),
        "undone": ("{0}: taken out again", "{0}：已撤销"),
        "took_walk": ("point {0}: {1} probes heard, {2} off", "{0} 号点：{1} 个探针听到，偏差 {2}"),
        "took_link": ("{0}: heard, {2} from what is expected", "{0}：已听到，与预期相差 {2}"),
        "took_zones": ("{0}: {1} probes heard, loudest {2}", "{0}：{1} 个探针听到，最强 {2}"),
        "silent": (
            "{0}: no probe heard it; see that the tag is on or the phone's Wi-Fi list open, and the name right",
            "{0}：没有探针听到；请检查标签是否开启（手机请打开 Wi-Fi 列表）、名称是否正确，再站一次",
        ),
        "fell_silent": (
            "{0}: it fell silent on the way; its name or address changed, or it sleeps: switch it on again and go on",
            "{0}：中途失去信号；名称或地址已改变，或设备休眠：重新开启后继续",
        ),
        "keys": (
            "Enter: take {0}; a name or number: take that one; u: undo; q: finish",
            "回车：测量 {0}；输入名称或编号：测量该点；u：撤销；q：完成",
        ),
        "all_taken": ("all were taken; a number to take one again, q to finish", "全部完成；输入编号重测，q 结束"),
        "said": ("{0}", "{0}"),  # an error's own line
        "no_stand": ("there is no {0}", "没有 {0}"),
        "phone_page": ("phone page", "手机页面"),
        "is_kept": (
            "every stand is kept here; after a crash the same command goes on, and --from takes the file",
            "每次测量都保存在此；中断后重新运行同一命令即可继续，也可用 --from 读取",
        ),
        "goes_on": (
            "goes on with {0} stands of an earlier run; to begin anew, remove the file",
            "继续之前的 {0} 次测量；如需重新开始，请删除该文件",
        ),
        "not_over": (
            "is kept; the same command goes on with it, or give it to --from",
            "已保存；运行同一命令即可继续，或用 --from 读取",
        ),
        "kept_as": ("the readings; --from takes them again", "测量读数；可用 --from 再次读取"),
        "lost": ("no connection to the laptop", "与电脑的连接中断"),
        # table and chart of the page
        "here_page": ("table and plot, on this computer", "实时表格和图（本机浏览器）"),
        "stand": ("where", "位置"),
        "probes_heard": ("probes heard", "听到的探针"),
        "off_walk": ("off", "偏差"),
        "off_link": ("from expected", "与预期之差"),
        "off_zones": ("loudest", "最强"),
        "metres": ("m", "米"),
        "level": ("level, dBm", "信号，dBm"),
        "minutes": ("minutes", "分钟"),
        "heard": ("heard", "听到"),
        "expected": ("expected", "预期"),
        "fitted": ("fitted", "拟合"),
        "in": ("in", "进"),
        "out": ("out", "出"),
        "by": ("by outside", "门外过"),
        # titles
        "title": ("Calibration report", "校准报告"),
        "link": ("Levels at measured distances", "定距信号校准"),
        "anchors": ("Probes hear each other", "探针互听校准"),
        "walk": ("Survey walk", "走点校准"),
        "zones": ("In and out of zones", "区域进出校准"),
        "count": ("Counted at the door", "门口人工计数"),
        "site": ("Site", "门店"),
        "date": ("Date", "日期"),
        "id": ("Calibration", "校准编号"),
        "source": ("Readings from", "读数来源"),
        "PASS": ("PASS", "PASS 合格"),
        "FAIL": ("FAIL", "FAIL 不合格"),
        "applied": ("In force: the held-out error fell", "已生效：留出误差降低"),
        "not_clear": (
            "Not applied: the held-out error fell by no more than chance",
            "未生效：留出误差的降低在偶然范围之内",
        ),
        "not_applied": ("Not applied: the held-out error did not fall", "未生效：留出误差没有降低"),
        "too_few": ("Not applied: too few readings", "未生效：读数不足"),
        "map": ("Where it was measured", "测量位置"),
        "map_shop": ("The shop", "门店平面图"),
        "map_marks": (
            "circle: point, its area the error after, blue where it fell and orange where it grew",
            "圆：测量点，面积为校准后误差，蓝色为降低，橙色为升高",
        ),
        "map_legend": (
            "triangle: probe; star: where one more probe helps most",
            "三角：探针；星：再加一个探针的最佳位置",
        ),
        "map_predicted": ("shade: predicted error, m", "底色：预计误差（米）"),
        "signed": ("Signature", "签名"),
        "technician": ("Technician", "技术员"),
        "manager": ("Shop", "门店负责人"),
        # held-out figures
        "held_out": ("Error of readings that the fit did not see", "未参与拟合的读数的误差"),
        "before": ("before", "校准前"),
        "after": ("after", "校准后"),
        "naive": ("guess", "直接猜测"),
        "means_m": (
            "Mean distance between where somebody stood and where the hub puts them from one scan.",
            "一次扫描算出的位置与实际站点之间的平均距离。",
        ),
        "means_dB": (
            "How far readings lie from what the hub expects; 6 dB is a factor of two in distance.",
            "读数与预期之间的差；6 dB 约等于距离相差一倍。",
        ),
        "means_wrong": (
            "Half the Brier score of zones: 0 for sure and right, 100 % for sure and wrong; being too sure costs.",
            "区域判定的 Brier 评分的一半：肯定且正确为 0，肯定但错误为 100%；过于肯定会被扣分。",
        ),
        "means_factor": (
            "Within this factor a held-out half lies 9 times in 10, chance of so few people included; 1.0× is exact.",
            "留出的一半有九成落在此倍数之内（含人数少带来的随机性）；1.0× 为完全准确。",
        ),
        # checks
        "limits": ("Limits", "限值"),
        "error": ("mean error", "平均误差"),
        "error_db": ("error of a level", "信号误差"),
        "noise": ("noise about the law", "相对规律的噪声"),
        "exponent": ("exponent", "衰减指数"),
        "corners": ("corners with points", "有测点的角落"),
        "probes_ready": ("probes with enough", "读数充足的探针"),
        "level_sure": ("level at 1 m known to ±", "1 米信号精度 ±"),
        "wrong": ("time in the wrong zone", "算错区域的时间"),
        "at_most": ("at most", "至多"),
        "at_least": ("at least", "至少"),
        "kappa_known": ("people per device known within", "每设备人数的精度"),
        "halves": ("one half against the other", "前后两半相差"),
        # needs
        "have": ("have {0} of {1} {2}", "已有 {0} / {1} {2}"),
        "points": ("points", "个测点"),
        "probes": ("probes that hear 4 points or more", "个能听到 4 个以上测点的探针"),
        "frames": ("frames at one distance", "帧（同一距离）"),
        "distances": ("distances, the farthest twice the nearest", "个距离（最远至少为最近的两倍）"),
        "pairs": ("pairs of probes that hear each other", "对互相听到的探针"),
        "rounds": ("times in the zone", "次进入该区域"),
        "windows": ("readings of 10 s in the zone", "个 10 秒读数（该区域）"),
        "zones_seen": ("zones", "个区域"),
        "people": ("people", "人"),
        "devices_heard": ("devices of the same minutes", "个同时段的设备"),
        "tens": ("times ten minutes", "个十分钟"),
        "bins": ("times of ten minutes with people and devices", "个有人有设备的十分钟"),
        # table
        "probe": ("probe", "探针"),
        "zone": ("zone", "区域"),
        "rssi_1m": ("dBm at 1 m", "1 米处 dBm"),
        "offset": ("offset dB", "偏移 dB"),
        "sigma": ("noise dB", "噪声 dB"),
        "sends": ("sends dB", "发射 dB"),
        "right": ("right", "正确"),
        "counted": ("counted", "计数"),
        "counted_people": ("people", "人数"),
        "devices": ("devices", "设备"),
        "ratio": ("per device", "每设备人数"),
        "ratio_low": ("from", "下限"),
        "ratio_high": ("to", "上限"),
        "readings": ("readings", "读数"),
        "confusion": ("true zone by row, said zone by column", "行为真实区域，列为判定区域"),
        "changes": ("Set in site.toml", "写入 site.toml"),
        "ratios": ("People per device, count by count", "各次计数的每设备人数"),
        "ratios_legend": (
            "dot: a count or half of one, its line 90 % by chance; green band: people per device from all of them; "
            "dashed: as site.toml said before",
            "点：一次计数或其一半，线为 90% 随机范围；绿色带：综合后的每设备人数；虚线：之前 site.toml 的值",
        ),
        # what is weak
        "weak": ("What is weak", "薄弱之处"),
        "nothing_weak": ("Nothing stands out.", "没有明显的薄弱之处。"),
        "corner": ("No points at {0}: stand there at least twice.", "{0} 没有测点：请在那里至少站两次。"),
        "probe_few": (
            "{0} heard only {1} places: see that it runs and hangs free, then walk near it.",
            "{0} 只听到 {1} 个位置：检查是否运行、有无遮挡，再到它附近走点。",
        ),
        "probe_silent": (
            "{0} heard nothing at {1} stands: see that it runs (footfall watch) and that its channel is right.",
            "{0} 在 {1} 次测量中没有听到任何信号：检查是否运行（footfall watch）、频道是否正确。",
        ),
        "probe_trouble": ("{0}: {1}; the stand counts without it", "{0}：{1}；本次测量不含该探针"),
        "probe_odd": (
            "{0} falls off with exponent {1}: check its place in site.toml and metal around it.",
            "{0} 的衰减指数为 {1}：检查 site.toml 中的位置和周围的金属。",
        ),
        "probe_links": ("{0} has {1} links only: see that it sends and hears.", "{0} 只有 {1} 条链路：检查收发。"),
        "worst": ("Worst at x {0} m, y {1} m: {2} m off.", "最差点在 x {0} 米、y {1} 米：偏差 {2} 米。"),
        "zone_mixed": (
            "{0} is taken for {1} ({2} right): make zones larger or add a probe.",
            "{0} 被判为 {1}（正确 {2}）：请扩大区域或增加探针。",
        ),
        "one_count": (
            "One count only: other hours bring other people; count again at another hour.",
            "只有一次计数：不同时段的人群不同，请换个时段再数一次。",
        ),
        "halves_apart": (
            "The halves disagree, {0} and {1} people per device: was somebody missed, or did a probe stop?",
            "两半不一致，每设备 {0} 人与 {1} 人：是否漏数，或探针停过？",
        ),
        "count_odd": (
            "{0} says {1} people per device, unlike the others: take it back if it was wrong.",
            "{0} 为每设备 {1} 人，与其他计数不符：若有误请撤销。",
        ),
        "no_threshold": (
            "3 or more probes: a zone follows from positions, weighed with what was heard before and after; there is"
            " no threshold or hysteresis to choose.",
            "三个或更多探针：区域由位置及前后听到的信号得出，没有阈值或迟滞可选。",
        ),
        "chance": (
            "What these rounds would change lies within chance: nothing is changed; more rounds may tell.",
            "这些测量所提示的改变在偶然误差之内：未作更改；更多次测量或可判断。",
        ),
        "not_measured": ("Not measured: {0}.", "未测量：{0}。"),
        "two_points": (
            "Two distances only: the second half of each stand was held out, not another distance.",
            "只有两个距离：留出的是每次站立的后半段，而不是另一个距离。",
        ),
        "fourth": (
            "One more probe at x {0} m, y {1} m, {2} m high would lower the predicted error from {3} to {4} m.",
            "在 x {0} 米、y {1} 米、高 {2} 米处再加一个探针，预计误差将从 {3} 米降到 {4} 米。",
        ),
        "no_font": (
            "No Chinese font on this computer: the PDF is in English; apt install fonts-wqy-microhei, or use the HTML.",
            "本机没有中文字体。",
        ),
    }
)


def say(word: str, language: Language, *values: str) -> str:
    """Give a sentence with its values."""
    return WORDS[word][LANGUAGES.index(language)].format(*values)


def say_note(note: Note, language: Language) -> str:
    """Give a note as a sentence."""
    return say(note.word, language, *note.values)


def say_need(need: Need, language: Language) -> str:
    """Give `have 7 of 20 points`, and of what."""
    word = "zones_seen" if need.word == "zones" else need.word
    line = say("have", language, str(need.have), str(need.least), say(word, language))
    return f"{need.of}: {line}" if need.of else line


def say_check(check: Check, language: Language) -> str:
    """Give `mean error 3.2 m, at most 5.2 m`."""
    bound = say("at_most" if check.most else "at_least", language)
    alike = not check.passed and figure(check.value, check.unit) == figure(check.limit, check.unit)
    value, limit = (figure(one, check.unit, 2 if alike else 1) for one in (check.value, check.limit))
    return f"{say(check.word, language)} {value}, {bound} {limit}"


def figure(value: float, unit: str, digits: int = 1) -> str:
    """Write a figure with its unit."""
    if unit == "wrong":
        return f"{value:.{digits - 1}%}"
    if unit == "factor":
        return f"{value:.{digits}f}×" if value < MOST_FACTOR else f">{MOST_FACTOR:.0f}×"
    if value == round(value) and not unit:
        digits = 0
    return f"{value:.{digits}f}" + (f" {unit}" if unit else "")


def held_figures(held: Held, unit: str) -> tuple[str, str, str]:
    """Write before, after and guess with as many digits as tell them apart; an empty text for no guess."""
    digits = 1 if figure(held.before, unit) != figure(held.after, unit) else 2
    values = (held.before, held.after, held.naive)
    before, after, naive = ("" if value is None else figure(value, unit, digits) for value in values)
    return before, after, naive


def header_of(trial: Trial, language: Language) -> tuple[str, ...]:
    """Name the columns of a trial's rows: of what, its figures, and how many readings or people."""
    first, last = {"zones": ("zone", "readings"), "count": ("counted", "counted_people")}.get(
        trial.kind, ("probe", "readings")
    )
    return tuple(say(word, language) for word in (first, *trial.columns, last))


def cell(value: float, column: str) -> str:
    """Write a figure of a trial's row."""
    if math.isnan(value):  # nobody was there
        return "–"
    if column == "right":
        return f"{value:.0%}"
    return f"{value:,.{2 if column.startswith('ratio') else 1}f}"


def verdict(trial: Trial, language: Language) -> str:
    """Say whether it is in force and why not."""
    if not trial.enough:
        return say("too_few", language)
    if trial.improves:
        return say("applied", language)
    fell = trial.held is not None and not trial.changes and trial.held.after < trial.held.before
    return say("not_clear" if fell else "not_applied", language)
