"""What visitors are told, in English and Chinese, from the configuration. Promises nothing the code does not do."""

from hostkit.core.calendar import WINDOW_S
from hostkit.core.retention import DAY_S, DAYS_KEPT_S, HOURS_KEPT_S, VISITS_KEPT_S
from hostkit.model import PrivacyMode, Site

LANGUAGES = ("en", "zh")

_ENGLISH = """\
{name}: how visitors are counted

This shop counts visitors by the radio signals that phones send while they look for Wi-Fi. {probes} sensors receive
them. There are no cameras, and no names.

- The address in a signal is replaced in the sensor by a pseudonym. {key}
  Addresses of visitors' phones and the names of Wi-Fi networks are stored nowhere.
{mode}
- Figures split by several things at once are not shown where they are of fewer than {k} people.
- A phone whose Wi-Fi and Bluetooth are off is not counted. Most phones change their address by themselves, and such an
  address cannot be put on a list of exceptions: this shop runs no such list for visitors. Tags that staff carry and
  fixed devices of the shop may be on one, kept in the shop; they are not counted.
"""
_ENGLISH_DAILY = """\
The key for it changes every day at {hour:02d}:00
  and the old one is destroyed: nobody, not even we, can tell a phone again on another day.\
"""
_ENGLISH_WINDOW = """\
The key for it changes every {window} minutes
  and the old one is destroyed: nobody, not even we, can tell a phone again after five minutes.\
"""
_ENGLISH_VISITS = """\
- A visit without identity (arrival and departure to {grain} minutes, length of stay, areas of the shop) is kept for
  {visits} days, hourly figures for {hours} months, daily figures for {days} years.\
"""
_ENGLISH_MODES = {
    PrivacyMode.ANONYMOUS_5MIN: """\
- Only totals are made, stored and leave the shop: how many phones are there at a time. No visit is put together.
  Hourly totals are kept for {hours} months, daily ones for {days} years.\
""",
    PrivacyMode.PSEUDONYM_24H: _ENGLISH_VISITS,
}
_CHINESE = """\
{name}：客流统计告知

本店通过手机搜索 Wi-Fi 时发出的无线信号统计客流，由 {probes} 个传感器接收。没有摄像头，也不收集姓名。

- 信号中的地址在传感器内即被替换为假名。{key}顾客手机的地址和 Wi-Fi 网络名称不会保存在任何地方。
{mode}
- 同时按多项细分的数据，少于 {k} 人的不予显示。
- 关闭 Wi-Fi 和蓝牙的手机不会被统计。多数手机会自动更换地址，这样的地址无法登记为例外；
  本店不为顾客设例外名单。员工佩戴的标签和店内固定设备可登记在店内保存的名单上，不计入客流。
"""
_CHINESE_DAILY = """\
所用密钥每天 {hour:02d}:00 更换，
  旧密钥随即销毁：任何人（包括我们）都无法在另一天认出同一部手机。\
"""
_CHINESE_WINDOW = """\
所用密钥每 {window} 分钟更换，
  旧密钥随即销毁：五分钟之后，任何人（包括我们）都无法再认出同一部手机。\
"""
_CHINESE_VISITS = """\
- 不含身份的到访记录（到达与离开时间精确到 {grain} 分钟、停留时长、所在区域）保存 {visits} 天，
  按小时的统计保存 {hours} 个月，按天的统计保存 {days} 年。\
"""
_CHINESE_MODES = {
    PrivacyMode.ANONYMOUS_5MIN: """\
- 只统计、保存和传出汇总数据，即同一时段在场的手机数量，不形成任何单次到访记录。
  按小时的汇总保存 {hours} 个月，按天的汇总保存 {days} 年。\
""",
    PrivacyMode.PSEUDONYM_24H: _CHINESE_VISITS,
}
_TEXTS = {
    "en": (_ENGLISH, _ENGLISH_MODES, _ENGLISH_DAILY, _ENGLISH_WINDOW),
    "zh": (_CHINESE, _CHINESE_MODES, _CHINESE_DAILY, _CHINESE_WINDOW),
}


def notice(site: Site, language: str) -> str:
    """Give the notice in one of LANGUAGES."""
    text, modes, daily, window = _TEXTS[language]
    facts: dict[str, object] = {
        "name": site.name or f"{site.tenant} {site.site}",
        "probes": len(site.probes),
        "hour": site.privacy.rotation_hour,
        "window": WINDOW_S // 60,
        "k": site.privacy.k,
        "grain": site.privacy.time_grain_s // 60,
        "visits": VISITS_KEPT_S // DAY_S,
        "hours": HOURS_KEPT_S // (31 * DAY_S),
        "days": DAYS_KEPT_S // (365 * DAY_S),
    }
    key = window if site.privacy.anonymous else daily
    return text.format(mode=modes[site.privacy.mode].format(**facts), key=key.format(**facts), **facts)
