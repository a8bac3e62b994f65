"""What a problem says in Chinese: by its code, with what is particular to this request behind it.

English sentences stand beside the errors themselves. A reader who asks for Chinese gets the sentence of the code
here; what an error says beyond its own sentence (numbers, names, the field's rule) follows in brackets where it
has no Chinese form, since it is worth more than purity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.errors import YundanError

ZH: dict[str, tuple[str, str]] = {
    "advance_unexpected_state": ("垫付状态不符", "这笔垫付当前的状态不允许此操作。"),
    "advance_unknown": ("没有这笔垫付", "这里没有这笔垫付。"),
    "attestation_refused": ("见证被拒", "见证与其所指的运输任务不符。"),
    "bad_file": ("文件不可读", "定位文件或路线无法读取，请按所指的行列更正。"),
    "bad_leaf": ("叶子无效", "没有这个叶子，或数值超出类型范围。"),
    "bad_plan": ("计划无效", "计划没有描述一趟可以判定的运输，请补全所指的字段。"),
    "bad_policy": ("规则文件无效", "规则文件含未知规则或缺少阈值。"),
    "bank_entry_refused": ("银行入账无法归属", "这笔银行入账无法归属，请指明运单或当事方。"),
    "bank_message_invalid": ("银行报文无效", "银行报文不符合其规范。"),
    "bank_refused": ("银行拒绝请求", "银行拒绝了请求本身，这不代表付款的结果。"),
    "bank_unavailable": ("银行未应答", "银行尚未应答，结果须待查询后才知道。"),
    "busy": ("系统繁忙", "数据库繁忙，请原样再发一次。"),
    "case_invalid": ("案例无效", "案例文件不符合约定的格式。"),
    "chain_error": ("共享账本拒绝", "共享账本拒绝了此操作。"),
    "chain_unavailable": ("节点无应答", "区块链节点没有应答，没有丢失任何内容，请稍后再试。"),
    "claim_lost": ("任务已被接管", "另一个进程已接管此任务，或任务已取消。"),
    "code_refused": ("验证码无效", "验证码错误、已使用或已过期，请重新获取。"),
    "content_gone": ("内容已删除", "内容已被所有者删除，其哈希仍然有效。"),
    "contract_refused": ("合约拒绝", "智能合约拒绝了此调用，facts 中有原因。"),
    "csrf_refused": ("页面令牌不符", "此请求不是由本站页面发出的，或没有带页面令牌；请刷新页面后重试。"),
    "day_end_refused": ("无法日终", "该营业日现在不能关闭。"),
    "decision_refused": ("风控拒绝", "规则拒绝了这笔垫付，理由见 reasons。"),
    "decision_stale": ("决定已失效", "风控决定不存在、已过期或属于另一申请，请重新申请决定。"),
    "deep_reorganisation": ("链深度重组", "区块链在最终确认以下发生重组，须由运维重建投影。"),
    "delivery_pending": ("投递进行中", "此投递仍在途中，结束后才能重发。"),
    "deployment_outdated": ("合约版本不符", "链上合约的版本与本程序不符。"),
    "deployment_unreadable": ("部署记录不可读", "部署记录无法读取。"),
    "door": ("请先登录", "请先登录再查看此页。"),
    "duplicate_conflict": ("重复入账", "此笔先前已入账，但内容不同。"),
    "error": ("请求被拒", "请求被拒绝。"),
    "evidence_empty": ("尚无证据", "这趟运输尚无证据。"),
    "file_refused": ("文件不可读", "文件无法作为运单表读取，请检查表头与格式。"),
    "finance_error": ("资金侧拒绝", "资金侧拒绝了此操作。"),
    "fix_invalid": ("定位点无效", "定位点不能接受，所指字段有误。"),
    "fonts_missing": ("缺少字体", "PDF 的字体尚未安装，请运行 make setup。"),
    "forbidden_role": ("角色无权", "您的角色不允许此操作，请联系贵单位的负责人。"),
    "forbidden_scope": ("权限不足", "此 API 密钥没有该请求所需的权限范围。"),
    "four_eyes": ("需要第二人", "此操作需要两个人：一人提出，另一人批准。"),
    "headroom_exceeded": ("额度不足", "授信额度的可用余额不足。"),
    "idempotency_key_missing": (
        "缺少 Idempotency-Key",
        "写请求须带 Idempotency-Key 请求头：1 到 255 个可见字符，每次操作用新的值。",
    ),
    "idempotency_key_reused": (
        "Idempotency-Key 已用过",
        "此 Idempotency-Key 已用于另一个请求，请换一个新的。",
    ),
    "internal_error": ("系统内部错误", "系统出错，联系我们时请提供 request_id。"),
    "invalid_amount": ("金额无效", "此金额无法入账。"),
    "invalid_date": ("日期无效", "日期不存在或先后顺序有误。"),
    "invalid_request": ("请求格式有误", "请求有字段不符合要求，请按所指字段更正。"),
    "invalid_terms": ("条款无效", "借款条款自相矛盾或不合法定参数。"),
    "invalid_value": ("取值无效", "取值超出该字段允许的范围。"),
    "invitation_refused": ("邀请无效", "邀请不存在、已使用、已撤回或已过期，请索取新的邀请。"),
    "job_ended": ("任务已结束", "任务已结束，不能取消。"),
    "key_refused": ("密钥申请被拒", "API 密钥的申请被拒绝。"),
    "key_reused": ("键已用过", "相同的幂等键先前已用于其他内容。"),
    "keyring_missing": ("缺少主密钥", "本进程没有主密钥，无法加密或解密个人信息。"),
    "keystore_refused": ("密钥文件打不开", "密钥文件无法打开：口令错误，或不是密钥文件。"),
    "last_owner": ("最后一名负责人", "组织至少须保留一名负责人。"),
    "lease_lost": ("签名权已转移", "另一个进程已接管此密钥，本进程不得再签名。"),
    "line_unexpected_state": ("授信状态不符", "授信额度当前的状态不允许此操作。"),
    "line_unknown": ("没有这条授信", "这里没有这条授信额度。"),
    "link_gone": ("链接失效", "此链接已过期或被替换，请司机出示新的二维码。"),
    "link_unknown": ("没有此链接", "没有此链接，请重新扫描司机手机上的二维码。"),
    "link_used": ("链接已使用", "此链接已使用：收货已签署，不能再签。"),
    "login_taken": ("登录名已占用", "此登录名已被使用，请换一个。"),
    "media_refused": ("文件类型不符", "文件不是完整的 JPEG、PNG、WebP 或 PDF。"),
    "moving_ground": ("数据持续变化", "检查期间所依据的运单不断变化，请重新发送文件。"),
    "no_sender": (
        "未配置短信",
        "本系统尚未配置短信发送（YUNDAN_SMS_URL），请改用密码或联系运维。",
    ),
    "node_refused": ("节点拒绝", "区块链节点拒绝了请求。"),
    "not_found": ("不存在", "没有这个对象，或您无权查看。"),
    "passkey_refused": ("通行密钥无效", "通行密钥不存在，或其应答与本站的挑战不符。"),
    "password_refused": ("密码不合要求", "密码太短、太长或太常见，请换一个。"),
    "payout_account_refused": ("收款账户不可用", "此收款账户不能使用。"),
    "payout_unexpected_state": ("出款状态不符", "这笔出款当前的状态不允许此操作。"),
    "payout_unknown": ("没有这笔出款", "这里没有这笔出款。"),
    "plain_http": (
        "请用 https 登录",
        "会话的 Cookie 不经明文 http 传送，请改用 https 地址（YUNDAN_TLS_CERT，或前置代理）。",
    ),
    "precondition_failed": ("对象已变化", "对象已不是您读到的样子，请重新读取。"),
    "proof_too_old": ("请再次验证身份", "此操作须刚刚验证过身份，请再次登录。"),
    "receipt_code_locked": (
        "收货码已锁定",
        "收货码错误次数过多，请司机出示新的二维码，并向托运人询问收货码。",
    ),
    "receipt_code_wrong": ("收货码错误", "收货码错误，托运人已把它告诉收货人。"),
    "receipt_other_key": ("密钥不同", "该收货人用另一把密钥签署，它不在这部手机上。"),
    "refused_input": ("输入无法判定", "轨迹判定无法接受此输入。"),
    "replay_failed": ("回放失败", "服务器没有按终端的需要应答。"),
    "request_refused": ("请求被拒", "请求在入口处被拒绝。"),
    "rows_refused": ("有行被拒", "部分行有误，未导入任何内容；请按行列更正。"),
    "rule_invalid": ("规则无效", "规则无法读取或计算。"),
    "same_person": ("须由另一人批准", "准备者不能自己批准，请由另一人批准。"),
    "second_factor_needed": ("需要第二重验证", "此账户启用了第二重验证，请同时提供验证码。"),
    "second_person_needed": (
        "需要第二人批准",
        "贵单位实行双人复核：请先提交该请求（POST /v1/proposals），由另一人批准。",
    ),
    "secret_gone": (
        "密文已清除",
        "此 Idempotency-Key 下的应答含有密文，一天后已清除；请重新生成。",
    ),
    "self_custody": ("自持密钥", "该当事方自己保管密钥，平台没有密钥，无法代签。"),
    "settings_refused": ("配置不可运行", "环境变量没有描述一个可以运行的系统。"),
    "sign_in_refused": ("登录失败", "登录名或凭证有误。"),
    "signature_refused": ("签名无效", "签名不是该当事方的、已过期或已使用过。"),
    "signing_refused": ("签名服务拒绝", "签名服务拒绝，或其签名不是所称密钥的。"),
    "sms_failed": ("短信发送失败", "短信服务没有接受该短信，请稍后再试。"),
    "still_needed": ("尚不能删除", "此人尚有未结束的运输或借款，结束后才能删除。"),
    "table_refused": ("表格不可读", "文件无法作为表格读取。"),
    "terminal_invalid": ("终端号无效", "终端号为 1 到 20 位数字，车辆为 0x 加 64 位十六进制。"),
    "terminal_taken": ("终端已登记", "该终端已登记在另一辆车上，或其口令属于另一方。"),
    "terminal_unknown": ("终端未登记", "此终端号尚未登记，请先登记。"),
    "too_many_attempts": ("尝试次数过多", "尝试次数过多，请等到 facts 所示的时间。"),
    "too_many_documents": ("文件过多", "此对象的文件数已达上限。"),
    "too_many_jobs": ("任务过多", "一方未完成的任务数已达上限，请等其结束。"),
    "too_many_requests": ("请求过多", "请求过于频繁，请按 Retry-After 等待。"),
    "too_many_rows": ("行数过多", "一次导出最多 200,000 行，请缩小范围。"),
    "too_many_webhook_endpoints": ("接收端过多", "一方的 Webhook 接收端数已达上限，请先删除一个。"),
    "tracking_error": ("轨迹侧拒绝", "轨迹侧拒绝了此操作。"),
    "trip_invalid": ("运输任务无效", "运输任务无法跟踪，所指字段有误。"),
    "trip_state": ("运输状态不符", "运输任务当前的状态不允许此操作。"),
    "trip_taken": ("运输任务已跟踪", "该运输任务已按另一计划、车辆、终端或时间窗跟踪。"),
    "trip_unknown": ("没有此运输任务", "这里没有跟踪此运输任务。"),
    "unauthenticated": ("未验证身份", "请提供 API 密钥（Authorization: Bearer yk_...）或先登录。"),
    "unbalanced_entry": ("分录不平", "会计分录的借贷必须相等。"),
    "unexpected_state": ("状态不符", "对象当前的状态不允许此操作。"),
    "unproven_answer": ("应答无法证明", "节点的应答与区块自身的哈希或根不符。"),
    "unsealing_failed": ("无法解封", "加密内容无法打开：主密钥不同、位置不同或内容被改动。"),
    "vehicle_known": ("车辆已存在", "您已登记过这辆车。"),
    "warning_unknown": ("没有此预警", "没有这条未关闭的预警。"),
    "waybill_does_not_close": ("运单不闭合", "运单与其上级运单不闭合。"),
    "webhook_secret_refused": ("Webhook 密钥无效", "签名密钥为 whsec_ 加 24 到 64 个随机字节的 base64。"),
    "webhook_secret_reused": ("Webhook 密钥重复", "此密钥已用于另一个接收端，每个接收端须有自己的密钥。"),
    "webhook_url_refused": ("Webhook 地址被拒", "Webhook 不会发往此地址。"),
    "wrong_chain": ("链不符", "节点服务的是另一条链。"),
    "wrong_mode": ("密钥模式不符", "测试密钥用于正式系统，或正式密钥用于测试系统。"),
    # HTTP's own
    "bad_request": ("请求无法读取", "请求无法读取，请检查其格式。"),
    "method_not_allowed": ("方法不允许", "此地址不接受该方法。"),
    "content_too_large": ("内容过大", "请求体过大，最大 8 MiB。"),
    "unsupported_media_type": ("类型不支持", "不支持该 Content-Type。"),
    "request_timeout": ("请求超时", "请求体没有及时送达，请重新发送。"),
}  # fmt: skip
"""Code -> title and sentence."""

RULES: dict[str, str] = {
    "missing": "必填",
    "extra_forbidden": "不接受此字段",
    "string_type": "须为文本",
    "int_type": "须为整数",
    "int_parsing": "须为整数",
    "float_type": "须为数字",
    "bool_type": "须为 true 或 false",
    "bool_parsing": "须为 true 或 false",
    "list_type": "须为数组",
    "dict_type": "须为对象",
    "model_type": "须为对象",
    "model_attributes_type": "须为对象",
    "json_invalid": "不是有效的 JSON",
    "string_too_short": "至少 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "string_pattern_mismatch": "格式不符：{pattern}",
    "greater_than": "须大于 {gt}",
    "greater_than_equal": "须不小于 {ge}",
    "less_than": "须小于 {lt}",
    "less_than_equal": "须不大于 {le}",
    "too_short": "至少 {min_length} 项",
    "too_long": "最多 {max_length} 项",
    "enum": "须为以下之一：{expected}",
    "literal_error": "须为以下之一：{expected}",
    "date_from_datetime_parsing": "须为日期，如 2026-01-26",
    "date_parsing": "须为日期，如 2026-01-26",
}
"""Rule of a field -> what it asks, with the rule's own facts."""


def wants_chinese(accepted: str) -> bool:
    """Whether a reader's Accept-Language likes Chinese best.

    >>> wants_chinese("zh-CN,zh;q=0.9,en;q=0.8"), wants_chinese("en, zh"), wants_chinese("en;q=0.2, zh")
    (True, False, True)
    """
    best, liking = "", 0.0
    for part in accepted.split(","):
        name, _, weight = part.partition(";")
        try:
            likes = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
        except ValueError:
            likes = 0.0
        if likes > liking:
            best, liking = name.strip().lower(), likes
    return best.partition("-")[0] == "zh"


def title_zh(code: str) -> str:
    """The title of a code in Chinese; the code in words where it has none."""
    return ZH[code][0] if code in ZH else code.replace("_", " ")


def detail_zh(error: YundanError) -> str:
    """What an error says, in Chinese, with what it says beyond its own sentence in brackets."""
    for kind in type(error).__mro__:
        known = ZH.get(getattr(kind, "code", ""))
        if known is not None:
            said, own = str(error), (type(error).__doc__ or "").splitlines()[:1]
            return known[1] if [said] == own else f"{known[1]}（{said}）"
    return str(error)


def rule_zh(rule: str, facts: Mapping[str, Any], said: str) -> str:
    """What a field's rule asks, in Chinese; as said where it has no Chinese form."""
    try:
        return RULES[rule].format_map(dict(facts))
    except KeyError:
        return said
